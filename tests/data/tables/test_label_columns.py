"""Labels in tables: text, whatever it looks like; only an empty field or -1 is unlabelled."""

import warnings

import pytest
from helpers.tables import quietly, refused, said

from contrastive.data.labels import encode
from contrastive.data.tables import read_table
from contrastive.errors import ContrastiveError, ContrastiveWarning


@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        (["NA", "b", "NULL", "None"], ["NA", "NULL", "None", "b"], None),
        (["a", "", "b", "-1"], ["a", "b"], [0, -1, 1, -1]),
        (["3", "-1", "7", ""], [3, 7], [0, -1, 1, -1]),
        (["3.0", "", "7.0", "3"], [3, 7], [0, -1, 1, 0]),
        (["TRUE", "false", "", "True"], ["False", "True"], [1, 0, -1, 1]),
        (["1", "2", "NA", "1"], [1, 2], [0, 1, -1, 0]),
        ([str(10**20), "b", "", "b"], [str(10**20), "b"], [0, 1, -1, 1]),
    ],
)
def test_labels_are_text_and_only_an_empty_field_or_minus_one_is_unlabelled(written, labels, classes, y):
    path = written("a,kind\n" + "".join(f"{i}.5,{label}\n" for i, label in enumerate(labels)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContrastiveWarning)
        numbers, names = encode(read_table(path, None, "kind").labels)
    assert sorted(names, key=str) == sorted(classes, key=str)
    assert y is None or numbers.tolist() == y


def test_doubtful_labels_are_said_and_infinite_ones_refused(written):
    said(written("a,kind\n1,NA\n2,b\n"), "'NA' is taken as a class", None, "kind")
    said(written("a,kind\n1,NA\n2,0\n3,1\n"), "'NA' among them is taken as unlabelled", None, "kind")
    with pytest.raises(ContrastiveError, match="whole numbers or words, got inf"):
        encode(quietly(written("a,y\n1,inf\n2,0\n3,1\n"), None, "y").labels)
    refused(written('a,y\n1,"u\n2,v\n3,"\n'), "is a quote not closed", None, "y")


def test_labels_of_new_data_match_the_classes_however_they_are_spelt():
    assert encode(["3", "x"], ["3", "x"])[0].tolist() == [0, 1]
    assert encode([3, 3], ["3", "x"])[0].tolist() == [0, 0]
    assert encode(["3", ""], [3, 7])[0].tolist() == [0, -1]

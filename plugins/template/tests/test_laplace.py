from contrastive.testing import parametrize_with_checks


@parametrize_with_checks(["laplace"], event_shape=(2,))
def test_laplace(check):
    check()

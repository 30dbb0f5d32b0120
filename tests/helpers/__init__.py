"""What several test files share."""

# pytest's `--jaxtyping-packages` imports `helpers` alone, and takes `shape_checks` from it as an attribute.
from helpers import shape_checks as shape_checks

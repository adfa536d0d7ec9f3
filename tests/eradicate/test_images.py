import pytest

from activities.eradicate.images import fixed_repository, repository_of
from errors import InputError

ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx"),
        (f"nginx:1.27@{DIGEST}", "docker.io/library/nginx"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("grafana/grafana:11", "docker.io/grafana/grafana"),
        ("localhost/web", "localhost/web"),
        ("localhost:5000/web:1", "localhost:5000/web"),
        ("registry.example:443/team/web", "registry.example:443/team/web"),
        (f"{ECR}/web@{DIGEST}", f"{ECR}/web"),
    ],
)
def test_the_repository_of_an_image(image: str, repository: str) -> None:
    assert repository_of(image) == repository


@pytest.mark.parametrize(
    "image",
    [
        "",
        "nginx",
        "nginx:1.27",
        f"nginx:1.27@{DIGEST}",
        "nginx@sha256:abc",
        f"nginx@{DIGEST.upper()}",
        f"nginx@sha512:{'0' * 128}",
        f"nginx@{DIGEST} ",
        f"nginx@{DIGEST}\n",
        f"-nginx@{DIGEST}",
        f"@{DIGEST}",
    ],
)
def test_an_image_that_is_not_named_by_digest_alone_is_refused(image: str) -> None:
    with pytest.raises(InputError, match="image: expected repository@sha256"):
        fixed_repository(image)


def test_a_registry_with_a_port_is_no_tag() -> None:
    assert fixed_repository(f"localhost:5000/web@{DIGEST}") == "localhost:5000/web"

"""Manifests of Kubernetes in the documentation: every field is one that the resource has.

The models are strict forms of what KubeRay and Kubernetes document; an API server drops or refuses
what they do not know.
"""

import importlib.util
import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

yaml = pytest.importorskip("yaml", reason="needs the extra yaml")

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.M | re.S)
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Quantity = Annotated[str, Field(pattern=r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
Count = Annotated[int, Field(ge=0, lt=1 << 31)]
Resources = dict[Literal["cpu", "memory", "nvidia.com/gpu", "ephemeral-storage"], Quantity]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Variable(Strict):
    name: str
    value: str


class Requirements(Strict):
    limits: Resources = {}
    requests: Resources = {}


class Container(Strict):
    name: Name
    image: str
    command: list[str] = []
    args: list[str] = []
    env: list[Variable] = []
    resources: Requirements = Requirements()


class Metadata(Strict):
    name: Name


class Pod(Strict):
    containers: list[Container] = Field(min_length=1)
    restartPolicy: Literal["Always", "OnFailure", "Never"] = "Always"  # noqa: N815


class Template(Strict):
    spec: Pod


class Head(Strict):
    rayStartParams: dict[str, str]  # noqa: N815
    template: Template


class Group(Head):
    groupName: Name  # noqa: N815
    replicas: Count = 0
    minReplicas: Count  # noqa: N815
    maxReplicas: Count  # noqa: N815


class Cluster(Strict):
    headGroupSpec: Head  # noqa: N815
    workerGroupSpecs: list[Group]  # noqa: N815
    enableInTreeAutoscaling: bool = False  # noqa: N815
    rayVersion: str | None = None  # noqa: N815


class ServiceSpec(Strict):
    serveConfigV2: str  # noqa: N815
    rayClusterConfig: Cluster  # noqa: N815


class RayService(Strict):
    apiVersion: Literal["ray.io/v1"]  # noqa: N815
    kind: Literal["RayService"]
    metadata: Metadata
    spec: ServiceSpec


class JobSpec(Strict):
    completionMode: Literal["Indexed", "NonIndexed"]  # noqa: N815
    completions: Count
    parallelism: Count
    backoffLimitPerIndex: Count  # noqa: N815
    template: Template


class Job(Strict):
    apiVersion: Literal["batch/v1"]  # noqa: N815
    kind: Literal["Job"]
    metadata: Metadata
    spec: JobSpec


class HTTPOptions(Strict):
    host: str
    port: int
    request_timeout_s: float


class Application(Strict):
    name: str
    import_path: Literal["adagen_rt.serving.ray:build"]
    args: dict


class ServeConfig(Strict):
    http_options: HTTPOptions
    applications: list[Application]


def blocks(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in BLOCK.findall(text)]


def manifest(page, kind):
    (found,) = [one for one in blocks(page) if one.get("kind") == kind]
    return found


@pytest.fixture(scope="module")
def options():
    """The options of an application of Ray Serve, without Ray."""
    path = ROOT / "adagen_rt" / "serving" / "ray" / "options.py"
    spec = importlib.util.spec_from_file_location("options_of_ray", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.Options.model_rebuild(_types_namespace=vars(module))
    return module.Options


def test_the_service_of_kuberay(options):
    spec = RayService.model_validate(manifest("scaling.md", "RayService")).spec
    config = ServeConfig.model_validate(yaml.safe_load(spec.serveConfigV2))
    (application,) = config.applications
    given = options.model_validate(application.args)
    assert config.http_options.request_timeout_s > given.timeout
    cluster = spec.rayClusterConfig
    # Without it nobody adds pods, whatever the replicas ask for.
    assert cluster.enableInTreeAutoscaling
    (group,) = cluster.workerGroupSpecs
    assert group.minReplicas <= group.replicas <= group.maxReplicas
    (container,) = group.template.spec.containers
    fit = int(container.resources.limits["cpu"]) // given.threads
    assert group.maxReplicas * fit >= given.max_replicas
    for pod in (cluster.headGroupSpec, group):
        env = pod.template.spec.containers[0].env
        assert Variable(name="RAY_worker_niceness", value="0") in env


def test_the_configuration_of_ray_serve(options):
    (found,) = [one for one in blocks("scaling.md") if "applications" in one]
    config = ServeConfig.model_validate(found)
    assert config.http_options.host == "127.0.0.1"
    assert options.model_validate(config.applications[0].args).max_replicas > 1


def test_the_job_of_an_index_each():
    spec = Job.model_validate(manifest("bulk.md", "Job")).spec
    (container,) = spec.template.spec.containers
    args = container.args
    assert args[args.index("--world") + 1] == str(spec.completions)
    assert spec.completionMode == "Indexed"
    assert spec.template.spec.restartPolicy == "Never"  # asked for by backoffLimitPerIndex


@pytest.mark.parametrize(
    "change", [{"replica": 1}, {"replicas": "1"}, {"rayStartParams": {"a": 1}}]
)
def test_a_wrong_field_is_found(change):
    broken = manifest("scaling.md", "RayService")
    broken["spec"]["rayClusterConfig"]["workerGroupSpecs"][0].update(change)
    with pytest.raises(ValidationError):
        RayService.model_validate(broken)

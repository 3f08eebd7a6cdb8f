"""The policies of docs/pipeline under moto's enforcement: what each role has to do is allowed, what it must not do is denied.
With the lab's list of calls as argument, also what its instances asked of AWS.

moto knows the resource of a call for S3 only, and no `?` in a pattern. The other services' it is told here, from the call's
parameters and by AWS's own table of which action takes which resource, which comes with cfn-lint.
"""

import fnmatch
import json
import re
import string
import sys
from pathlib import Path

import boto3
import cfnlint
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.backends import get_backend
from moto.codedeploy.responses import CodeDeployResponse
from moto.core.authorization import enable_iam_authentication
from moto.ecr.responses import ECRResponse
from moto.iam.access_control import IAMPolicyStatement
from moto.secretsmanager.responses import SecretsManagerResponse

ROOT = Path(__file__).parents[2]
REGION, ACCOUNT, BUCKET = "eu-west-1", "123456789012", "deployments"
TABLE = json.loads(Path(cfnlint.__file__).with_name("data").joinpath("AdditionalSpecs/Policies.json").read_text())
CONFIG = Config(region_name=REGION, request_checksum_calculation="when_required", retries={"total_max_attempts": 1})
BUNDLE = (ROOT / "appspec/handover.toml").read_text(encoding="utf-8")
REPOSITORIES = re.findall(r'^repository = ".*/(.*?)"', BUNDLE, re.M)
SECRETS = re.findall(r'^id += "(.*?)"', BUNDLE, re.M)
APPLICATION = {"applicationName": "status-page"}
REVISION = {"revisionType": "S3", "s3Location": {"bucket": BUCKET, "key": "status-page/1.tar.gz", "bundleType": "tgz"}}


def arn(service, rest):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def kinds_of(service, action):
    return TABLE[service]["Actions"][action.lower()].get("Resources", [])


def ecr_resource(self):
    name = self._get_param("repositoryName")
    return arn("ecr", f"repository/{name}") if kinds_of("ecr", self._get_action()) else "*"


def secret_resource(self):
    return arn("secretsmanager", f"secret:{self._get_param('SecretId')}-AbCdEf")


def codedeploy_resource(self):
    kinds = kinds_of("codedeploy", self._get_action())
    deployment = get_backend("codedeploy")[ACCOUNT][REGION].deployments.get(self._get_param("deploymentId"))
    application = self._get_param("applicationName") or (deployment and deployment.application_name)
    group = self._get_param("deploymentGroupName") or (deployment and deployment.deployment_group_name)
    if "deploymentgroup" in kinds:
        return arn("codedeploy", f"deploymentgroup:{application}/{group}")
    if "application" in kinds:
        return arn("codedeploy", f"application:{application}")
    if "deploymentconfig" in kinds:
        return arn("codedeploy", f"deploymentconfig:{self._get_param('deploymentConfigName')}")
    return "*"


ECRResponse._determine_resource = ecr_resource
SecretsManagerResponse._determine_resource = secret_resource
CodeDeployResponse._determine_resource = codedeploy_resource
IAMPolicyStatement._match = staticmethod(lambda pattern, value: fnmatch.fnmatchcase(value, pattern) or None)


def filled(name):
    text = (ROOT / "docs/pipeline" / name).read_text(encoding="utf-8")
    return string.Template(text).substitute(
        ACCOUNT=ACCOUNT,
        REGION=REGION,
        BUCKET=BUCKET,
        GITHUB_REPOSITORY="example/status-page",
        ENVIRONMENT="production",
    )


def misfits(policy):
    """Actions that AWS does not know, and resources that an action does not take: nothing is allowed by those."""
    for statement in policy["Statement"]:
        actions, resources = (
            value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"])
        )
        for service, action in (one.split(":") for one in actions):
            if action.lower() not in TABLE[service]["Actions"]:
                yield f"there is no {service}:{action}"
                continue
            kinds = kinds_of(service, action)
            formats = [f for kind in kinds for f in TABLE[service]["Resources"][kind.lower()]["ARNFormats"]]
            formats = [re.sub(r"\$\{.*?\}", ".*", f) for f in formats] or [r"\*"]
            for resource in resources:
                if not any(re.fullmatch(f, resource) for f in formats):
                    yield f"{service}:{action} does not take {resource}"


def push(repository):
    layer = {"repositoryName": repository, "uploadId": "1"}
    return [
        ("ecr", "batch_check_layer_availability", {"repositoryName": repository, "layerDigests": ["sha256:1"]}),
        ("ecr", "initiate_layer_upload", {"repositoryName": repository}),
        ("ecr", "upload_layer_part", {**layer, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"1"}),
        ("ecr", "complete_layer_upload", {**layer, "layerDigests": ["sha256:1"]}),
        ("ecr", "put_image", {"repositoryName": repository, "imageManifest": "{}", "imageTag": "1"}),
    ]


def pull(repository):
    return [
        meaning(repository),
        ("ecr", "get_download_url_for_layer", {"repositoryName": repository, "layerDigest": "sha256:1"}),
        ("ecr", "batch_check_layer_availability", {"repositoryName": repository, "layerDigests": ["sha256:1"]}),
    ]


def meaning(repository):
    return ("ecr", "batch_get_image", {"repositoryName": repository, "imageIds": [{"imageTag": "1"}]})


def get(key, **version):
    return ("s3", "get_object", {"Bucket": BUCKET, "Key": key, **version})


def put(key):
    return ("s3", "put_object", {"Bucket": BUCKET, "Key": key, "Body": b"1"})


def secret(name):
    return ("secretsmanager", "get_secret_value", {"SecretId": name})


def deploy(group, deployment):
    where = {**APPLICATION, "deploymentGroupName": group}
    return [
        ("codedeploy", "create_deployment", {**where, "revision": REVISION}),
        ("codedeploy", "get_deployment", {"deploymentId": deployment}),
    ]


# What CreateDeployment and the end of deploy.sh ask besides.
AROUND = [
    ("codedeploy", "register_application_revision", {**APPLICATION, "revision": REVISION}),
    ("codedeploy", "get_application_revision", {**APPLICATION, "revision": REVISION}),
    ("codedeploy", "get_deployment_config", {"deploymentConfigName": "CodeDeployDefault.OneAtATime"}),
    ("codedeploy", "list_deployment_targets", {"deploymentId": "d-000000001"}),
    ("codedeploy", "batch_get_deployment_targets", {"deploymentId": "d-000000001", "targetIds": ["i-1"]}),
]
LOGIN = ("ecr", "get_authorization_token", {})


def cases(made):
    """Of each policy what it allows, and what it does not."""
    revision, binary = get("status-page/1.tar.gz", VersionId=made["version"]), get("handover/1")
    test, production = (deploy(group, made[group]) for group in ("test", "production"))
    yield (
        "instance-policy.json",
        [LOGIN, revision, *map(secret, SECRETS), *(call for name in REPOSITORIES for call in pull(name))],
        [
            *(secret(name) for name in ("prod/status-page/redis-2", "other", "rds!db-0124")),
            *(meaning("other"), get("other/1.tar.gz"), put("status-page/1.tar.gz"), binary),
            *(*push("status-page")[1:], *test, *AROUND),
            ("secretsmanager", "put_secret_value", {"SecretId": SECRETS[0], "SecretString": "1"}),
        ],
    )
    yield (
        "runner-policy.json",
        [LOGIN, *push("status-page"), *map(meaning, REPOSITORIES), binary, put("status-page/2.tar.gz"), *test, *AROUND],
        [*push("nginx"), meaning("other"), put("handover/1"), revision, *map(secret, SECRETS), *production],
    )
    yield (
        "production-policy.json",
        [*production, *AROUND],
        [LOGIN, *push("status-page"), put("status-page/2.tar.gz"), revision, *map(secret, SECRETS), *test],
    )


def make_all():
    """What the calls are about."""
    made = {}
    s3, ecr, codedeploy = (boto3.client(name, config=CONFIG) for name in ("s3", "ecr", "codedeploy"))
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for key in ("handover/1", "other/1.tar.gz", "status-page/1.tar.gz"):
        made["version"] = s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")["VersionId"]
    for name in {*REPOSITORIES, "other"}:
        ecr.create_repository(repositoryName=name)
    for name in {*SECRETS, "prod/status-page/redis-2", "other", "rds!db-0124"}:
        boto3.client("secretsmanager", config=CONFIG).create_secret(Name=name, SecretString="1")
    codedeploy.create_application(**APPLICATION, computePlatform="Server")
    for group in ("test", "production"):
        where = {**APPLICATION, "deploymentGroupName": group}
        codedeploy.create_deployment_group(**where, serviceRoleArn=f"arn:aws:iam::{ACCOUNT}:role/codedeploy")
        made[group] = codedeploy.create_deployment(**where, revision=REVISION)["deploymentId"]
    return made


def session(policy):
    """With the credentials of a role that has this policy and nothing else."""
    name = policy.removesuffix(".json")
    iam = boto3.client("iam", config=CONFIG)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=filled("runner-trust.json"))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=filled(policy))
    keys = boto3.client("sts", config=CONFIG).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def is_allowed(session, call):
    service, method, parameters = call
    try:
        getattr(session.client(service, config=CONFIG), method)(**parameters)
    except NotImplementedError:
        # moto asks whether it is allowed before it finds that it cannot do it.
        return True
    except ClientError as error:
        code = error.response["Error"]["Code"]
        # Also where the rest of the answer is in no form that the service has.
        if code == "AccessDenied" or "<Code>AccessDenied</Code>" in str(error):
            return False
        # The service's own errors, such as a layer that is not there, come after that; a bad signature has none of them.
        if type(error) is ClientError:
            raise
    return True


def of_the_lab(path):
    """What instances asked for in a run of scripts/pipeline; the lab's first address is the runner's."""
    calls = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        asked = {
            "GetAuthorizationToken": lambda _: LOGIN,
            "GetSecretValue": lambda call: secret(call["secret"]),
        }.get(call["action"], lambda call: get(call["action"].removeprefix(f"/{BUCKET}/")))(call)
        if call["client"] != "10.66.0.11" and asked not in calls:
            calls.append(asked)
    return calls


@mock_aws
def main():
    wrong, made = [], make_all()
    trust = json.loads(filled("runner-trust.json"))["Statement"][0]["Condition"]
    subject = "token.actions.githubusercontent.com:sub"
    if trust["StringEquals"][subject] != "repo:example/status-page:environment:production" or len(trust) > 1:
        wrong.append("runner-trust.json lets others in than one environment of one repository")
    count = {True: 0, False: 0}
    for policy, allowed, denied in cases(made):
        wrong.extend(f"{policy}: {misfit}" for misfit in misfits(json.loads(filled(policy))))
        if policy == "instance-policy.json" and sys.argv[1:]:
            seen = of_the_lab(sys.argv[1])
            for _, _, parameters in (call for call in seen if call[0] == "s3"):
                boto3.client("s3", config=CONFIG).put_object(**parameters, Body=b"1")
            print(f"of the lab's instances: {', '.join(sorted({call[1] for call in seen}))}")
            allowed = [*allowed, *seen]
        role = session(policy)
        for expected, calls in ((True, allowed), (False, denied)):
            for call in calls:
                with enable_iam_authentication():
                    found = is_allowed(role, call)
                count[expected] += 1
                if found != expected:
                    wrong.append(f"{policy}: {call[:2]} {call[2]} is {'allowed' if found else 'denied'}")
    print(f"policies: {count[True]} calls that have to be allowed, {count[False]} that must not be")
    sys.exit("\n".join(wrong) or 0)


main()

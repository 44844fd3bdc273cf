"""What a trial's processes are given: addresses, ranks, proxies, expanded words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.training.base import Launch, Task
from experiments.training.environment import (
    environment_for,
    expand,
    extended_no_proxy,
    rank_environment,
    replicas_by_rank,
    server_environment,
    tracker_environment,
)
from tests.training.conftest import Jobs, task


def launch_of(framework: str, *types: tuple[str, int]) -> Launch:
    return Launch(
        experiment_id="e1",
        experiment_name="sample",
        trial_key="0abcd",
        trial_number=12,
        attempt=1,
        framework=framework,
        tasks=tuple(Task(type, replicas, {}) for type, replicas in types),
        parameters={},
        server_url="http://10.0.0.5:8080",
        token="TOKEN",
    )


ADDRESSES = [f"127.0.0.1:{20000 + rank}" for rank in range(9)]


def test_both_protocols_are_told_where_the_server_is() -> None:
    assert server_environment(launch_of("pytorch", ("worker", 1)), "/job/nni", "/code") == {
        "AUTO_TUNE_SERVER_ADDR": "http://10.0.0.5:8080/t/TOKEN",
        "TUNER_EXP_ID": "e1",
        "TUNER_TRIAL_JOB_ID": "0abcd",
        "TUNER_TRIAL_SEQ_ID": "12",
        "NNI_TRIAL_COMMAND_CHANNEL": "http://10.0.0.5:8080/n/TOKEN",
        "NNI_TRIAL_JOB_ID": "0abcd",
        "NNI_EXP_ID": "e1",
        "NNI_TRIAL_SEQ_ID": "12",
        "NNI_PLATFORM": "autotune",
        "REUSE_MODE": "true",
        "NNI_OUTPUT_DIR": "/job/nni",
        "NNI_SYS_DIR": "/job/nni",
        "NNI_CODE_DIR": "/code",
    }


def test_trackers_are_told_of_us_unless_they_are_told_already() -> None:
    launch = launch_of("pytorch", ("worker", 1))
    mlflow = {"MLFLOW_TRACKING_URI": "http://10.0.0.5:8080/t/TOKEN/mlflow"}
    trainer = {
        "KUBEFLOW_TRAINER_SERVER_URL": "http://10.0.0.5:8080/t/TOKEN/trainer",
        "KUBEFLOW_TRAINER_SERVER_TOKEN": "/proc/sys/kernel/ostype",
    }
    assert tracker_environment(launch, ()) == mlflow | trainer
    assert tracker_environment(launch, {"MLFLOW_TRACKING_URI"}) == trainer
    assert tracker_environment(launch, {"KUBEFLOW_TRAINER_SERVER_URL"}) == mlflow
    token = Path(trainer["KUBEFLOW_TRAINER_SERVER_TOKEN"]).read_text().strip()
    assert token.isascii()  # it becomes a header
    assert token


@pytest.mark.parametrize("where", ["manifest", "server"])
def test_a_tracker_of_the_users_own_stays(jobs: Jobs, where: str, monkeypatch: Any) -> None:
    theirs = {"MLFLOW_TRACKING_URI": "file:///mine", "MLFLOW_RUN_ID": "abc"}
    env = [{"name": name, "value": value} for name, value in theirs.items()]
    if where == "server":
        env = []
        for name, value in theirs.items():
            monkeypatch.setenv(name, value)
    handle = jobs.start(["sh", "-c", "echo $MLFLOW_TRACKING_URI $MLFLOW_RUN_ID"], env=env)
    jobs.end(handle)
    assert jobs.log(handle) == "file:///mine abc\n"


@pytest.mark.parametrize(
    ("framework", "types", "order"),
    [
        ("tensorflow", [("ps", 1), ("worker", 2)], ["worker-0", "ps-0", "worker-1"]),
        ("tensorflow", [("worker", 2), ("Chief", 1)], ["chief-0", "worker-0", "worker-1"]),
        ("tensorflow", [("evaluator", 1)], ["evaluator-0"]),
        ("pytorch", [("node", 2), ("worker", 1)], ["node-0", "node-1", "worker-0"]),
        ("pytorch", [("worker", 1), ("master", 1)], ["worker-0", "master-0"]),
        ("xgboost", [("worker", 2), ("master", 1)], ["master-0", "worker-0", "worker-1"]),
        ("xgboost", [("worker", 2)], ["worker-0", "worker-1"]),
    ],
)
def test_rank_0_is_the_deciding_replica(
    framework: str, types: list[tuple[str, int]], order: list[str]
) -> None:
    replicas = replicas_by_rank(launch_of(framework, *types))
    assert [replica.name for replica in replicas] == order
    assert [replica.rank for replica in replicas] == list(range(len(order)))


def test_tf_config_lists_the_cluster_without_its_evaluator() -> None:
    launch = launch_of("tensorflow", ("worker", 2), ("ps", 1), ("evaluator", 1), ("chief", 1))
    names = [replica.name for replica in replicas_by_rank(launch)]
    given = rank_environment(launch, ADDRESSES[:5], names.index("worker-1"))
    assert json.loads(given["TF_CONFIG"]) == {
        "cluster": {
            "chief": [ADDRESSES[0]],
            "worker": [ADDRESSES[1], ADDRESSES[2]],
            "ps": [ADDRESSES[3]],
        },
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }


def test_tf_config_keeps_workers_in_order_when_worker_0_leads() -> None:
    launch = launch_of("tensorflow", ("ps", 1), ("worker", 3))
    given = rank_environment(launch, ADDRESSES[:4], 0)
    cluster = json.loads(given["TF_CONFIG"])["cluster"]
    assert cluster["worker"] == [ADDRESSES[0], ADDRESSES[2], ADDRESSES[3]]


def test_a_single_tensorflow_worker_has_a_tf_config_too() -> None:
    given = rank_environment(launch_of("tensorflow", ("worker", 1)), ADDRESSES[:1], 0)
    assert json.loads(given["TF_CONFIG"])["task"] == {"type": "worker", "index": 0}


@pytest.mark.parametrize("framework", ["pytorch", "xgboost"])
def test_pytorch_and_xgboost_get_master_rank_and_world_size(framework: str) -> None:
    launch = launch_of(framework, ("master", 1), ("worker", 2))
    assert rank_environment(launch, ADDRESSES[:3], 2) == {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "20000",
        "RANK": "2",
        "WORLD_SIZE": "3",
    }


@pytest.mark.parametrize(
    ("url", "lists", "expected"),
    [
        ("http://10.0.0.5:8080", [], "10.0.0.5"),
        ("http://10.0.0.5:8080", ["a.org, .b.org", "a.org,c"], "a.org,.b.org,c,10.0.0.5"),
        ("http://localhost:1/x", ["localhost"], "localhost"),
        ("http://[::1]:8080", ["", ","], "::1"),
        ("http://h", ["a,*"], "*"),
    ],
)
def test_no_proxy_is_extended_not_replaced(url: str, lists: list[str], expected: str) -> None:
    assert extended_no_proxy(url, *lists) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--lr=$(LR)/$(LR)", "--lr=0.1/0.1"),
        ("$$(LR)", "$(LR)"),
        ("$$$(LR)", "$0.1"),
        ("$$$$", "$$"),
        ("$(NOPE) $LR ${LR} $", "$(NOPE) $LR ${LR} $"),
        ("$(LR", "$(LR"),
        ("$()", "$()"),
        ("$(LR) costs 5$", "0.1 costs 5$"),
        ("$(NESTED)", "$(LR)"),
        # from Kubernetes' own table (third_party/forked/golang/expansion)
        ("f000-$$VAR", "f000-$VAR"),
        ("foo\\$(LR)bar", "foo\\0.1bar"),
        ("foo\\\\$(LR)bar", "foo\\\\0.1bar"),
        ("$$$$$$$(LR)", "$$$0.1"),
        ("$$$$$$(LR)", "$$$(LR)"),
        ("$(LR)$$", "0.1$"),
        ("$LR)", "$LR)"),
        ("$(foo$$var)", "$(foo$$var)"),
        ("$(LR)$(LR", "0.1$(LR"),
        ("\n$(LR)\n", "\n0.1\n"),
    ],
)
def test_references_expand_as_in_kubernetes(text: str, expected: str) -> None:
    assert expand(text, {"LR": "0.1", "NESTED": "$(LR)"}) == expected


def test_parameters_are_put_in_once_and_read_no_further() -> None:
    parameters = {"lr": 1e-05, "layer": {"_name": "conv", "size": 3}, "word": "$(LR) $$ `x`; 'y'"}
    said = {
        text: expand(text, {"LR": "0.1"}, parameters)
        for text in ("--lr=$(params.lr)", "$(params.layer.size)", "$(params.word)",
                     "$$(params.lr)", "$$$(params.lr)", "$(params.none)", "$(params.layer)")
    }  # fmt: skip
    assert list(said.values()) == [
        "--lr=1e-05", "3", "$(LR) $$ `x`; 'y'", "$(params.lr)", "$1e-05", "$(params.none)",
        '{"_name": "conv", "size": 3}',
    ]  # fmt: skip
    launch = replace(launch_of("pytorch", ("worker", 1)), parameters=parameters)
    given = [{"name": "A", "value": "$(params.lr)"}, {"name": "B", "value": "$(A) $(params.word)"}]
    environment, _known = environment_for(
        launch, given, ours={}, inherited={}, search_path="", client_dir="/client"
    )
    assert environment["B"] == "1e-05 $(LR) $$ `x`; 'y'"


def given_to(env: list[dict[str, Any]], inherited: dict[str, str]) -> dict[str, str]:
    launch = launch_of("pytorch", ("worker", 1))
    ours = server_environment(launch, "/job/nni")
    environment, _known = environment_for(
        launch, env, ours=ours, inherited=inherited, search_path="/venv/bin", client_dir="/client"
    )
    return environment


def test_the_manifest_s_variables_come_first_and_ours_replace_them() -> None:
    given = given_to(
        [
            {"name": "DATA", "value": "/data"},
            {"name": "SET", "value": "$(DATA)/mnist of $(TUNER_EXP_ID), $(LATER), $(HOME)"},
            {"name": "LATER", "value": "1"},
            {"name": "EMPTY"},
            {"name": "TUNER_EXP_ID", "value": "mine"},
        ],
        {"DATA": "/inherited", "HOME": "/root"},
    )
    assert given["SET"] == "/data/mnist of e1, $(LATER), $(HOME)"
    assert (given["DATA"], given["EMPTY"], given["TUNER_EXP_ID"]) == ("/data", "", "e1")
    assert given["HOME"] == "/root"


def test_the_server_s_own_settings_stay_with_it() -> None:
    secret = {
        "SECRET_KEY": "x",
        "DATABASE_URL": "x",
        "AUTOTUNE_DATA": "x",
        "DJANGO_SETTINGS_MODULE": "x",
        "NNI_PLATFORM": "local",
        "TF_CONFIG": "x",
        "RANK": "3",
    }
    given = given_to([], {**secret, "CUDA_VISIBLE_DEVICES": "0"})
    assert {name for name in secret if name in given} == {"NNI_PLATFORM"}
    assert given["NNI_PLATFORM"] == "autotune"
    assert given["CUDA_VISIBLE_DEVICES"] == "0"


def test_paths_lead_to_our_interpreter_and_client() -> None:
    given = given_to([], {"PATH": "/bin", "PYTHONPATH": "/mine"})
    assert (given["PATH"], given["PYTHONPATH"]) == ("/venv/bin:/bin", "/client:/mine")
    assert given["PYTHONUNBUFFERED"] == "1"
    theirs = given_to(
        [{"name": "PATH", "value": "/conda/bin"}, {"name": "PYTHONPATH", "value": "/code"}], {}
    )
    assert (theirs["PATH"], theirs["PYTHONPATH"]) == ("/conda/bin", "/client:/code")


@pytest.mark.parametrize(
    ("env", "name", "expected"),
    [
        ([("PATH", "/x/bin:$(PATH)")], "PATH", "/x/bin:/venv/bin:/bin"),
        ([("PATH", "/x:$(PATH)"), ("PATH", "/y:$(PATH)")], "PATH", "/y:/x:/venv/bin:/bin"),
        ([("PATH", "$$(PATH)")], "PATH", "$(PATH)"),
        ([("TOOLS", "$(PATH):/t")], "TOOLS", "/venv/bin:/bin:/t"),
        ([("LD_LIBRARY_PATH", "/l:$(LD_LIBRARY_PATH)")], "LD_LIBRARY_PATH", "/l:/cuda"),
        ([("PYTHONPATH", "src:$(PYTHONPATH)")], "PYTHONPATH", "/client:src:/mine"),
        ([("A", "$(LD_LIBRARY_PATH)")], "A", "$(LD_LIBRARY_PATH)"),
        ([("A", "x$(A)")], "A", "x$(A)"),
        ([("DATABASE_URL", "$(DATABASE_URL)")], "DATABASE_URL", "$(DATABASE_URL)"),
        ([("B", "1"), ("A", "$(B)"), ("B", "2")], "A", "1"),
    ],
)
def test_a_variable_may_be_extended_in_the_order_of_definition(
    env: list[tuple[str, str]], name: str, expected: str
) -> None:
    inherited = {
        "PATH": "/bin", "LD_LIBRARY_PATH": "/cuda", "PYTHONPATH": "/mine", "DATABASE_URL": "secret",
    }  # fmt: skip
    given = given_to([{"name": n, "value": v} for n, v in env], inherited)
    assert given[name] == expected


def test_a_command_found_on_an_extended_path_runs_with_it(jobs: Jobs, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "my-tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\npython3 -S -c 'print(5)'\necho \"$SHOWN\"\n")
    tool.chmod(0o755)
    env = [
        {"name": "PATH", "value": f"{tool.parent}:$(PATH)"},
        {"name": "SHOWN", "value": "$(TUNER_TRIAL_SEQ_ID) $$(PATH) $(NOWHERE)"},
    ]
    handle = jobs.start(["my-tool"], env=env)
    jobs.end(handle)
    assert jobs.log(handle) == "5\n1 $(PATH) $(NOWHERE)\n"


def test_proxies_of_the_server_and_of_the_manifest_are_passed_by() -> None:
    given = given_to(
        [{"name": "HTTP_PROXY", "value": "http://proxy"}, {"name": "NO_PROXY", "value": "b"}],
        {"no_proxy": "a"},
    )
    assert given["NO_PROXY"] == given["no_proxy"] == "a,b,10.0.0.5"
    assert given["HTTP_PROXY"] == "http://proxy"


TELL = (
    "import json, os, sys; sys.stdout.write(json.dumps(dict(os.environ)));"
    "sys.stdout.write('\\n'); sys.stdout.flush();"
    "import time; time.sleep(600)"  # the first to end would end the others before they have spoken
)


def test_every_process_of_a_trial_finds_the_others(jobs: Jobs) -> None:
    tell = ["python", "-S", "-c", TELL]
    handle = jobs.launch(
        jobs.describe(task(tell, "ps"), task([*tell, "$(TUNER_TRIAL_SEQ_ID)"], "worker", 2))
    )
    logs = ("worker-0.log", "ps-0.log", "worker-1.log")
    seen = [json.loads(jobs.said(handle, "\n", name)) for name in logs]
    configs = [json.loads(each["TF_CONFIG"]) for each in seen]
    assert configs[0]["cluster"] == configs[1]["cluster"] == configs[2]["cluster"]
    assert [config["task"] for config in configs] == [
        {"type": "worker", "index": 0},
        {"type": "ps", "index": 0},
        {"type": "worker", "index": 1},
    ]
    addresses = [*configs[0]["cluster"]["worker"], *configs[0]["cluster"]["ps"]]
    assert len(set(addresses)) == 3
    assert [each["RANK"] for each in seen] == ["0", "1", "2"]
    assert {each["WORLD_SIZE"] for each in seen} == {"3"}
    assert {f"{each['MASTER_ADDR']}:{each['MASTER_PORT']}" for each in seen} == {addresses[0]}
    for each in seen:
        assert each["AUTO_TUNE_SERVER_ADDR"] == "http://127.0.0.1:9/t/T0K:en"
        assert each["NNI_TRIAL_COMMAND_CHANNEL"] == "http://127.0.0.1:9/n/T0K:en"
        assert each["TUNER_TRIAL_JOB_ID"] == each["NNI_TRIAL_JOB_ID"] == "k3y0a"
        assert "127.0.0.1" in each["NO_PROXY"].split(",")
        assert "DJANGO_SETTINGS_MODULE" not in each


def test_a_trial_imports_our_client_and_may_write_where_nni_does(jobs: Jobs) -> None:
    handle = jobs.start(
        ["python", "-S", "-c", "import autotune_trial, os, sys; print(autotune_trial.trial_id());"
         "open(os.path.join(os.environ['NNI_OUTPUT_DIR'], 'x'), 'w').close(); print(sys.prefix)"]
    )  # fmt: skip
    jobs.end(handle)
    assert jobs.log(handle).startswith("k3y0a\n")

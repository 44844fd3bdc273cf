#!/usr/bin/env bash
# Build etcd, kube-apiserver, kube-controller-manager, kubectl, helm and JobSet's controller for
# tests/kube from Go modules.
#
#   build.sh [DIRECTORY]
#
# DIRECTORY defaults to KUBEBUILDER_ASSETS, else ~/.cache/autotune-web/controlplane-VERSION. What is
# there already is not built again. Beside them, in crds/, lie the CustomResourceDefinitions of
# Kueue, JobSet and Kubeflow's Trainer, taken from their modules. Needs Go 1.25 or newer; takes about
# half an hour of one core. The last line printed is the directory.
set -euo pipefail
cd "$(dirname "$0")"

go_mod_version() { awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2; exit }' go.mod; }

version=$(go_mod_version k8s.io/kubernetes)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autotune-web
directory=${1:-${KUBEBUILDER_ASSETS:-$cache/controlplane-$version}}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
exec 9>"$directory/.lock"
flock 9 # a second build waits for the first, then finds everything

if ! command -v go >/dev/null && [ -x /usr/local/go/bin/go ]; then
    PATH=$PATH:/usr/local/go/bin
fi

flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1"
    flags+=" -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
done

helm=helm.sh/helm/v3
flags+=" -X $helm/internal/version.version=$(awk -v m="$helm" '$1 == "require" && $2 == m { print $3 }' helm/go.mod)"
flags+=" -X $helm/pkg/chartutil.k8sVersionMajor=1"
flags+=" -X $helm/pkg/chartutil.k8sVersionMinor=$(cut -d. -f2 <<<"$version")"

build() { # NAME PACKAGE [DIRECTORY OF ITS go.mod]
    [ -x "$directory/$1" ] && return
    echo "building $1 ..." >&2
    CGO_ENABLED=0 nice go build -C "${3:-.}" -mod=readonly -trimpath -p "${BUILD_JOBS:-$(nproc)}" \
        -ldflags "$flags" -o "$directory/.$1.new" "$2"
    mv "$directory/.$1.new" "$directory/$1"
}

fetched() { # MODULE VERSION SUM: prints where its source lies
    local found
    found=$(cd "$directory" && go mod download -json "$1@$2")
    case $found in
    *"\"Sum\": \"$3\""*) awk -F'"' '$2 == "Dir" { print $4 }' <<<"$found" ;;
    *) echo "$1@$2 is not what it was: $found" >&2 && return 1 ;;
    esac
}

kinds() { # MODULE VERSION SUM FOLDER FILE ...: CustomResourceDefinitions as their makers ship them
    local folder=$4 source
    [ -f "$directory/crds/${!#}" ] && return
    mkdir -p "$directory/crds"
    source=$(fetched "$1" "$2" "$3")
    shift 4
    for file in "$@"; do
        install -m 644 "$source/$folder/$file" "$directory/crds/"
    done
}

kinds sigs.k8s.io/kueue v0.17.0 h1:7hzb38M4eKGzYW+CFv2s1L+swzzacUCHOCXxZmAV90I= \
    config/components/crd/bases kueue.x-k8s.io_workloads.yaml
kinds github.com/kubeflow/trainer/v2 v2.0.0 h1:mnQSR9iPKItxyUR8mq66XsmxqKNVHwr9YYOB7BTU9dU= \
    manifests/base/crds trainer.kubeflow.org_trainjobs.yaml trainer.kubeflow.org_trainingruntimes.yaml \
    trainer.kubeflow.org_clustertrainingruntimes.yaml
jobset=(sigs.k8s.io/jobset v0.11.1 h1:WgLEBnXTeX+4MxfVkIbfm4jIVgjvIY6Jfaei2okxKNk=)
kinds "${jobset[@]}" config/components/crd/bases jobset.x-k8s.io_jobsets.yaml
build etcd go.etcd.io/etcd/server/v3
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager
build kubectl k8s.io/kubernetes/cmd/kubectl
build helm "$helm/cmd/helm" helm # of a module of its own: its versions are its business
# Its own go.sum says what it is built from.
if [ ! -x "$directory/jobset-controller" ]; then
    source=$(fetched "${jobset[@]}")
    build jobset-controller . "$source"
fi
echo "$directory"

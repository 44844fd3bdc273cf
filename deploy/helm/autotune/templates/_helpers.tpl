{{/* The objects of a file of deploy/, as a JSON list. Takes root, file. */}}
{{- define "autotune.objects" -}}
{{- $objects := list -}}
{{- range $text := regexSplit "(?m)^---[ ]*$" (.root.Files.Get .file) -1 -}}
{{- $object := fromYaml $text -}}
{{- if hasKey $object "Error" -}}{{ fail (printf "%s: %s" $.file $object.Error) }}{{- end -}}
{{- if $object.kind -}}{{- $objects = append $objects $object -}}{{- end -}}
{{- end -}}
{{- if not $objects -}}{{ fail (printf "%s has no objects: the chart is not whole" .file) }}{{- end -}}
{{- toJson $objects -}}
{{- end -}}

{{/* An object as it is sent: with our labels, in a namespace. Takes root, object, namespace. */}}
{{- define "autotune.show" -}}
{{- $metadata := .object.metadata -}}
{{- $labels := merge (dict "app.kubernetes.io/name" "autotune") ($metadata.labels | default dict) -}}
{{- $_ := set $metadata "labels" $labels -}}
{{- if .namespace -}}{{- $_ := set $metadata "namespace" .namespace -}}{{- end -}}
{{- range .object.subjects -}}{{- $_ := set . "namespace" $.root.Release.Namespace -}}{{- end }}
---
{{ toYaml .object }}
{{- end -}}

{{/* All objects of a file as they stand. Takes root, file, namespace, and perhaps labels. */}}
{{- define "autotune.file" -}}
{{- range $object := include "autotune.objects" . | fromJsonArray -}}
{{- $_ := set $object.metadata "labels" (merge (dict) ($.labels | default dict) ($object.metadata.labels | default dict)) -}}
{{- include "autotune.show" (dict "root" $.root "object" $object "namespace" $.namespace) }}
{{ end -}}
{{- end -}}

{{- define "autotune.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}
{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "autotune.claim" -}}
{{ .Values.volume.claim | default "autotune-data" }}
{{- end -}}

{{- define "autotune.publicUrl" -}}
{{- $usual := ternary "http://localhost:8080" "https://autotune.example.com" (eq .Values.mode "embedded") -}}
{{- .Values.publicUrl | default $usual -}}
{{- end -}}

{{/* What the values say of the pods of a workload. Takes root, object; changes the object. */}}
{{- define "autotune.pods" -}}
{{- $values := .root.Values -}}
{{- $template := .object.spec.template -}}
{{- $pod := $template.spec -}}
{{- range $container := $pod.containers -}}
{{- $_ := set $container "image" (include "autotune.image" $.root) -}}
{{- $role := ternary $container.name (trimPrefix "autotune-" $.object.metadata.name) (ne $container.name "role") -}}
{{- $own := get $values (ternary "web" $role (eq $role "autotune")) | default dict -}}
{{- if $own.resources -}}{{- $_ := set $container "resources" $own.resources -}}{{- end -}}
{{- range $from := $container.envFrom -}}
{{- if $from.secretRef -}}{{- $_ := set $from.secretRef "name" $values.secret -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- range $volume := $pod.volumes -}}
{{- if $volume.persistentVolumeClaim -}}
{{- $_ := set $volume.persistentVolumeClaim "claimName" (include "autotune.claim" $.root) -}}
{{- end -}}
{{- end -}}
{{- if $values.anyUser -}}
{{- $_ := set $pod "securityContext" (omit $pod.securityContext "runAsUser" "runAsGroup" "fsGroup") -}}
{{- end -}}
{{- range $name := $values.pullSecrets -}}
{{- $_ := set $pod "imagePullSecrets" (append ($pod.imagePullSecrets | default list) (dict "name" $name)) -}}
{{- end -}}
{{- if $values.nodeSelector -}}{{- $_ := set $pod "nodeSelector" $values.nodeSelector -}}{{- end -}}
{{- if $values.tolerations -}}{{- $_ := set $pod "tolerations" $values.tolerations -}}{{- end -}}
{{- if ne .object.kind "Job" -}}
{{- $text := include "autotune.settings" .root | cat (toJson $values.podPolicy) -}}
{{- $_ := set $template.metadata "annotations" (dict "autotune.tensorstack.dev/settings" (sha256sum $text)) -}}
{{- end -}}
{{- end -}}

{{/* The environment of all roles, as YAML. */}}
{{- define "autotune.settings" -}}
{{- $values := .Values -}}
{{- $service := printf "autotune.%s.svc" .Release.Namespace -}}
{{- $host := (urlParse (include "autotune.publicUrl" .)).hostname -}}
{{- $hosts := ternary (list $host "127.0.0.1" $service) (list $host $service) (eq $host "localhost") -}}
{{- $all := dict
  "AUTOTUNE_TRAINING_ENGINE" $values.engine
  "AUTOTUNE_NAMESPACE" $values.trials.namespace
  "AUTOTUNE_LOCAL_TRIALS" "0"
  "AUTOTUNE_PUBLIC_URL" (include "autotune.publicUrl" .)
  "AUTOTUNE_TRIAL_URL" (printf "http://%s:8080" $service)
  "AUTOTUNE_SEND_TO_CLUSTER" "1"
  "ALLOWED_HOSTS" (join "," $hosts)
-}}
{{- if eq $values.mode "production" -}}
{{- $_ := set $all "AUTOTUNE_HEARTBEAT_FILE" "/tmp/heartbeat" -}}
{{- $_ := set $all "AUTOTUNE_CHECK_NAMESPACES" "1" -}}
{{- end -}}
{{- if $values.trials.also -}}
{{- $_ := set $all "AUTOTUNE_NAMESPACES" (join "," (prepend $values.trials.also $values.trials.namespace)) -}}
{{- end -}}
{{- if $values.monitoring.enabled -}}{{- $_ := set $all "AUTOTUNE_METRICS" "0.0.0.0:9464" -}}{{- end -}}
{{- range $name, $value := $values.settings -}}{{- $_ := set $all $name (toString $value) -}}{{- end -}}
{{- toYaml $all -}}
{{- end -}}

#!/bin/sh
# A trial of shell-curl.yaml: minimise (x - 1)^2 + (y + 2)^2, in steps, with curl and awk alone.
set -eu
server=$AUTO_TUNE_SERVER_ADDR
trial=$TUNER_TRIAL_JOB_ID

record=$(curl -fsS "$server/apis/v1/parameter/$trial")
number_of() { # number_of NAME: a number out of the one-line JSON record
    printf '%s' "$record" | sed -n "s/.*\"$1\": *\\(-\\{0,1\\}[0-9.eE+-]*\\).*/\\1/p"
}
x=$(number_of x)
y=$(number_of y)
id=$(number_of parameter_id)

report() { # report TYPE SEQUENCE STEP VALUE
    curl -fsS -H 'Content-Type: application/json' "$server/apis/v1/metric" -d "{
        \"parameter_id\": $id, \"trial_job_id\": \"$trial\", \"type\": \"$1\",
        \"sequence\": $2, \"step\": $3, \"value\": \"$4\"}"
}

loss=$(awk "BEGIN { print ($x - 1) ^ 2 + ($y + 2) ^ 2 }")
for step in 0 1 2 3; do
    report PERIODICAL "$step" "$step" "$(awk "BEGIN { print $loss + 10 / ($step + 1) }")"
done
report FINAL 0 0 "$loss"

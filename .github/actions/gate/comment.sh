#!/usr/bin/env bash
# comment.sh NUMBER FILE: the one comment of the gate on a pull request, made or updated. Needs gh and GITHUB_REPOSITORY.
# What may not comment (a fork's token) is a warning: the table stands in the job's summary.
set -euo pipefail

number="$1"
file="$2"
mark="<!-- pytest-blip gate -->"
comments="repos/$GITHUB_REPOSITORY/issues/$number/comments"
body="$(mktemp)"
trap 'rm -f "$body"' EXIT
{ echo "$mark"; cat "$file"; } > "$body"

# Only a comment of this token's own kind of author can be changed, and the mark begins it.
ours="$(gh api --paginate "$comments" \
  --jq ".[] | select(.user.type == \"Bot\" and (.body | startswith(\"$mark\"))) | .id" | head -n 1)" || ours=""
if [ -n "$ours" ]; then
  sent=(--method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$ours")
else
  sent=(--method POST "$comments")
fi
if ! gh api "${sent[@]}" --field body=@"$body" > /dev/null; then
  echo "::warning title=gate::the table could not be posted as a comment; it is in the job's summary"
fi

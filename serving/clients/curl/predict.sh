#!/bin/sh
# Asks a served `sentiment` model over REST with curl, and prints the server's answer.
#
#   sh predict.sh "A joyless film." "Warm, sly and very funny."
#   SERVING_URL=https://models.example.com SERVING_DEADLINE=2 sh predict.sh "A joyless film."
#
# curl asks again when the server is full or starting, after 1, 2, 4 … seconds, until the deadline (seconds).
set -eu
: "${SERVING_URL:=http://127.0.0.1:8501}" "${SERVING_MODEL:=sentiment}" "${SERVING_DEADLINE:=5}" "${SERVING_RETRIES:=4}"
[ "$#" -gt 0 ] || { echo "Error: expected texts. Try: sh predict.sh 'A joyless film.'" >&2; exit 1; }

# A text as a JSON string: \ and " get a \ before them, white space other than blanks becomes a blank, other control
# characters go. What is not UTF-8 is the server's to refuse.
quoted() {
  printf '%s' "$1" | LC_ALL=C tr '\t\n\r' '   ' | LC_ALL=C tr -d '\000-\037\177' |
    LC_ALL=C sed 's/[\\"]/\\&/g; s/^/"/; s/$/"/'
}

instances=
for text in "$@"; do
  [ -n "$text" ] || text=' '
  instances="${instances:+$instances, }$(quoted "$text")"
done

# Less than a second is one try: for --retry-max-time 0 would mean for ever.
whole=${SERVING_DEADLINE%.*}
[ "${whole:-0}" -gt 0 ] || SERVING_RETRIES=0

# Into a file, which curl empties before each try. --max-time holds for one try, --retry-max-time for beginning another.
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
status=0
printf '{"instances": [%s]}' "$instances" |
  curl --silent --show-error --fail-with-body --header 'Content-Type: application/json' --data-binary @- \
    --max-time "$SERVING_DEADLINE" --retry-max-time "${whole:-0}" \
    --retry "$SERVING_RETRIES" --retry-connrefused --output "$answer" \
    "$SERVING_URL/v1/models/$SERVING_MODEL:predict" || status=$?
[ "$status" -eq 0 ] && cat "$answer" || cat "$answer" >&2
exit "$status"

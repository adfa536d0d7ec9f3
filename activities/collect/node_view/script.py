"""What runs in the view pod: it prints a line for each thing that it reads, and decides nothing.

It is told by its environment: CONTAINERS are the ids to look for, PROC and HOST where the node's processes and files
are. A line is `kind container process base64`. What comes from the compromised container travels as base64, so that no
name of a file or of a process can look like a line of its own. The shell and its tools are busybox's, or others that
know as much.
"""

from __future__ import annotations

from typing import Final

HOST: Final = "/host"
"""Where the node's files are in the view pod."""
MOST_BYTES: Final = 1 << 18
"""Of one thing that is read."""
MOST_FILES: Final = 2_000
"""Of the files that a container has changed."""
MOST_PROCESSES: Final = 500
"""Of a container."""
MOST_DESCRIPTORS: Final = 1_000
"""Of a process."""
END: Final = "end"

SCRIPT: Final = f"""
say() {{ printf '%s %s %s ' "$1" "$2" "$3"; head -c {MOST_BYTES} | base64 | tr -d '\\n'; echo; }}

descriptors() {{
  seen=0
  for fd in "$1"/fd/*; do
    seen=$((seen + 1)); [ "$seen" -gt {MOST_DESCRIPTORS} ] && break
    printf '%s ' "${{fd##*/}}"; readlink -n "$fd" | tr '\\n' '?'; echo
  done
}}

process() {{
  say status "$1" "$2" < "$3/status"
  say command "$1" "$2" < "$3/cmdline"
  readlink -n "$3/exe" | say executable "$1" "$2"
  readlink -n "$3/cwd" | say directory "$1" "$2"
  descriptors "$3" | say descriptors "$1" "$2"
}}

surroundings() {{
  readlink -n "$3/ns/net" | say namespace "$1" "$2"
  for table in tcp tcp6 udp udp6 unix; do say "$table" "$1" "$2" < "$3/net/$table"; done
  say mounts "$1" "$2" < "$3/mountinfo"
}}

# Where the runtime has mounted the container's root stands in the node's own table, which the container cannot write.
layer() {{
  while read -r _ _ _ _ point _ rest; do
    case "$point" in *"$1"*/rootfs) ;; *) continue ;; esac
    upper=${{rest##*upperdir=}}; upper=${{upper%%,*}}
    case "$upper" in *..*|"$rest") ;; /*) echo "$upper"; return ;; esac
  done < "$PROC/1/mountinfo"
}}

changes() {{
  upper=$(layer "$1")
  printf '%s' "$upper" | say layer "$1" 0
  [ -d "$HOST$upper" ] && [ -n "$upper" ] || return 0
  cd "$HOST$upper" || return 0
  find . -xdev -print0 | tr '\\n\\0' '?\\n' | head -n {MOST_FILES} | say names "$1" 0
  find . -xdev -print0 | head -c {MOST_BYTES} | xargs -0 stat -c '%f %u %g %s %Y %t' 2>/dev/null \\
    | head -n {MOST_FILES} | say stats "$1" 0
  find . -xdev -type f -size -2048 -print0 | tr '\\n\\0' '?\\n' | head -n {MOST_FILES} | say hashed "$1" 0
  find . -xdev -type f -size -2048 -print0 | head -c {MOST_BYTES} | xargs -0 sha256sum 2>/dev/null \\
    | cut -c 1-64 | head -n {MOST_FILES} | say hashes "$1" 0
}}

for id in $CONTAINERS; do
  count=0
  for folder in "$PROC"/[0-9]*; do
    group=$(cat "$folder/cgroup" 2>/dev/null) || continue
    case "$group" in *"$id"*) ;; *) continue ;; esac
    count=$((count + 1)); [ "$count" -gt {MOST_PROCESSES} ] && break
    pid=${{folder##*/}}
    [ "$count" -eq 1 ] && surroundings "$id" "$pid" "$folder" 2>/dev/null
    process "$id" "$pid" "$folder" 2>/dev/null
  done
  changes "$id"
done
echo {END}
"""

r"""The shell functions that place a step's files in a container, run its script and undo the placing.

They are plain POSIX shell with the commands that every base has (`mkdir mv cp rm rmdir ln ls cat chmod
touch`), because nothing else can be expected of an image. A session's shell reads them once; a step then
is some ten calls. While a step runs, the directory below holds all that undoing needs, so that another
shell can do it when the first one was killed:

    /entropy/.stalker/
      f/<K>/<name>   each placed file: a second link to it, so that it is known wherever it goes
      o/<K>/<name>   what was at its target before
      d/<K>          the real path of the directory that the files of f/<K> are in
      m/<N>          directory N was made for the placing; k/<N>: the script changed it, so it stays
      was            how these directories looked before the script ran

K numbers the target directories, a directory once for each way of placing (bind, copy, in place); N
numbers all directories above targets. Marks on stderr report what happened, `\x01stalker:NONCE:...\x01`.
"""

from __future__ import annotations

import os

from stalker.engine.docker.container_options import IDLE_FILE
from stalker.model.tree import PLUGINS_DIR

STATE = "/entropy/.stalker"
"""On the same file system as all targets: a link cannot cross to another."""

ARCHIVE = "/.stalker-in"
"""Where an archive with f/ is unpacked, before it becomes part of STATE."""

RUN_FILE = f"{os.path.dirname(IDLE_FILE)}/run"  # noqa: PTH120
"""The program of a script that needs an exec of its own; /dev is a tmpfs in each container."""

SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

OLD = "198001010000"
"""The time that is given to directories made for placing: any change to one shows, also within a second."""

DOCKER_FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""Docker mounts these: they are in no layer and cannot be replaced, only written to."""

ENGINE_MADE = ("/.dockerenv", "/etc/mtab", "/run/.containerenv")
"""The engine makes these in each new container; Docker in no layer."""

LIBRARY = rf"""
_stk_s={STATE}
_stk_nl='
'
_stk_say() {{ printf '\001stalker:%s:%s\001' "$_stk_n" "$1" >&2; }}
_stk_fail() {{ _stk_say "enter:$1"; exit 125; }}
_stk_begin() {{
  _stk_path=$PATH _stk_lc=${{LC_ALL+x}}${{LC_ALL-}} _stk_tz=${{TZ+x}}${{TZ-}} _stk_bad= _stk_rc=0 _stk_here= _stk_odd=
  PATH={SAFE_PATH} LC_ALL=C TZ=UTC0
  export PATH LC_ALL TZ
  umask 022
}}
_stk_as_before() {{
  PATH=$_stk_path
  case $_stk_lc in x*) LC_ALL=${{_stk_lc#x}} ;; *) unset LC_ALL ;; esac
  case $_stk_tz in x*) TZ=${{_stk_tz#x}} ;; *) unset TZ ;; esac
  unset OLDPWD
}}

# Arguments K...: the directories of the state, empty.
_stk_stage() {{
  [ ! -e "$_stk_s" ] || rm -rf "$_stk_s" || _stk_fail "$_stk_s"
  _stk_e=
  [ -d /entropy ] || _stk_e=1
  if [ -d {ARCHIVE} ]; then
    [ -z "$_stk_e" ] || mkdir /entropy || _stk_fail /entropy
    mv {ARCHIVE} "$_stk_s" || _stk_fail {ARCHIVE}
  fi
  _stk_c=$#
  while [ $_stk_c -gt 0 ]; do
    set -- "$@" "$_stk_s/f/$1"
    shift
    _stk_c=$((_stk_c - 1))
  done
  mkdir -p "$@" "$_stk_s/o" "$_stk_s/d" "$_stk_s/m" "$_stk_s/k" && chmod 700 "$_stk_s" || _stk_fail "$_stk_s"
}}
_stk_write() {{ printf %s "$2" >"$_stk_s/f/$1" || _stk_fail "$1"; }}

# Arguments N DIR...: directories above targets, outermost first; those that are missing are made.
_stk_dirs() {{
  _stk_c=$#
  while [ $_stk_c -gt 0 ]; do
    if [ ! -d "$2" ]; then
      : >"$_stk_s/m/$1"
      set -- "$@" "$2"
    elif [ "$2" = /entropy ] && [ -n "$_stk_e" ]; then
      : >"$_stk_s/m/$1"
    fi
    shift 2
    _stk_c=$((_stk_c - 2))
  done
  [ $# = 0 ] || mkdir -- "$@" || for _stk_d; do [ -d "$_stk_d" ] || _stk_fail "$_stk_d"; done
}}
# Arguments K DIR...: where the directories really are. Files can meet only where a path leads over a link.
_stk_real() {{
  while [ $# -gt 0 ]; do
    cd -P -- "$2" || _stk_fail "$2"
    _stk_r=$PWD _stk_a=$_stk_odd
    [ "$_stk_r" = "$2" ] || _stk_a=$_stk_here _stk_odd="$_stk_odd $1"
    [ "$_stk_r" != / ] || _stk_r=
    printf %s "$_stk_r" >"$_stk_s/d/$1"
    eval "_stk_r$1=\$_stk_r"
    for _stk_k in $_stk_a; do
      eval "_stk_o=\$_stk_r$_stk_k"
      [ "$_stk_o" != "$_stk_r" ] || _stk_meet "$1" "$_stk_k"
    done
    _stk_here="$_stk_here $1"
    shift 2
  done
  cd /
}}
# Set _stk_r to where directory K is, and fail where that is not known: nothing was placed there.
_stk_where() {{
  if eval "[ -n \"\${{_stk_r$1+x}}\" ]"; then
    eval "_stk_r=\$_stk_r$1"
  else
    [ -f "$_stk_s/d/$1" ] || return 1
    _stk_r=$(cat "$_stk_s/d/$1" && printf x)
    _stk_r=${{_stk_r%x}}
    eval "_stk_r$1=\$_stk_r"
  fi
}}
# Arguments K...: as after _stk_real, in a shell that did not place them.
_stk_recall() {{
  for _stk_k; do ! _stk_where "$_stk_k" || _stk_odd="$_stk_odd $_stk_k"; done
  _stk_here=$_stk_odd
}}
# Two directories are one: report each file that both have.
_stk_meet() {{
  for _stk_f in "$_stk_s/f/$1"/* "$_stk_s/f/$1"/.[!.]* "$_stk_s/f/$1"/..?*; do
    _stk_o=$_stk_s/f/$2/${{_stk_f##*/}}
    if [ -e "$_stk_f" ] || [ -L "$_stk_f" ]; then
      if [ -e "$_stk_o" ] || [ -L "$_stk_o" ]; then
        _stk_say "meet:$1:$2:${{_stk_f##*/}}"
        exit 125
      fi
    fi
  done
}}
# Arguments K NAME...: which of them would take the place of a file that has other names too?
_stk_linked() {{
  eval "_stk_r=\$_stk_r$1"
  _stk_k=$1
  shift
  for _stk_f; do
    _stk_t=$_stk_r/$_stk_f
    if [ -f "$_stk_t" ] && [ ! -L "$_stk_t" ] && [ ! -L "$_stk_s/f/$_stk_k/$_stk_f" ]; then
      _stk_o=$(ls -lnd -- "$_stk_t")
      _stk_o=${{_stk_o#* }}
      _stk_o=${{_stk_o#"${{_stk_o%%[! ]*}}"}}
      [ "${{_stk_o%% *}}" = 1 ] || {{ _stk_say "linked:$_stk_k:$_stk_f"; _stk_bad=1; }}
    fi
  done
}}
# Arguments K NAME...: placed to be taken away again; what is there is put aside.
_stk_bind() {{
  _stk_k=$1
  shift
  eval "_stk_r=\$_stk_r$_stk_k"
  cd -- "$_stk_s/f/$_stk_k" || _stk_fail "$_stk_r"
  for _stk_f; do
    _stk_t=$_stk_r/$_stk_f
    if [ -e "$_stk_t" ] || [ -L "$_stk_t" ]; then
      if [ -d "$_stk_t" ] && [ ! -L "$_stk_t" ]; then _stk_fail "$_stk_t"; fi
      [ -d "$_stk_s/o/$_stk_k" ] || mkdir "$_stk_s/o/$_stk_k" || _stk_fail "$_stk_t"
      mv -f -- "$_stk_t" "$_stk_s/o/$_stk_k/$_stk_f" || _stk_fail "$_stk_t"
    fi
  done
  ln -- "$@" "$_stk_r/" || _stk_fail "$_stk_t"
  cd /
}}
# Arguments K NAME...: placed to stay.
_stk_copy() {{
  _stk_k=$1
  shift
  eval "_stk_r=\$_stk_r$_stk_k"
  cd -- "$_stk_s/f/$_stk_k" || _stk_fail "$_stk_r"
  for _stk_f; do
    _stk_t=$_stk_r/$_stk_f
    if [ -d "$_stk_t" ] && [ ! -L "$_stk_t" ]; then _stk_fail "$_stk_t"; fi
    if [ -e "$_stk_t" ] || [ -L "$_stk_t" ]; then rm -f -- "$_stk_t" || _stk_fail "$_stk_t"; fi
  done
  ln -- "$@" "$_stk_r/" || _stk_fail "$_stk_t"
  cd /
}}
# Arguments K NAME...: written into Docker's own files.
_stk_over() {{
  _stk_k=$1
  shift
  mkdir "$_stk_s/o/$_stk_k" || _stk_fail "$_stk_k"
  for _stk_f; do
    if [ -L "$_stk_s/f/$_stk_k/$_stk_f" ]; then _stk_fail "/etc/$_stk_f"; fi
    cp -p -- "/etc/$_stk_f" "$_stk_s/o/$_stk_k/$_stk_f" || _stk_fail "/etc/$_stk_f"
    cp -p -- "$_stk_s/f/$_stk_k/$_stk_f" "/etc/$_stk_f" || _stk_fail "/etc/$_stk_f"
  done
}}
_stk_look() {{
  ls -lnd -- "$@" 2>/dev/null | while read -r _stk_m _stk_c _stk_u _stk_g _stk_z _stk_t; do
    printf '%s\n' "$_stk_m $_stk_u $_stk_g $_stk_t"
  done
}}
# Arguments FUNCTION N DIR...: call it with those of the directories that were made.
_stk_of_made() {{
  _stk_do=$1
  shift
  _stk_c=$#
  while [ $_stk_c -gt 0 ]; do
    [ ! -e "$_stk_s/m/$1" ] || set -- "$@" "$2"
    shift 2
    _stk_c=$((_stk_c - 2))
  done
  $_stk_do "$@"
}}
# Arguments N DIR...: how the directories look that were made and are to go again.
_stk_note() {{ _stk_of_made _stk_note_made "$@"; }}
_stk_note_made() {{
  [ $# = 0 ] || {{ touch -t {OLD} -- "$@" && _stk_look "$@" >"$_stk_s/was"; }} || _stk_fail "$1"
}}
# Arguments N DIR...: do all of those that were made look as they did? One look answers it for most scripts.
_stk_same() {{ [ "$_stk_nl$(_stk_of_made _stk_look "$@")$_stk_nl" = "$_stk_was" ]; }}
# Arguments N DIR...: those that the script changed stay.
_stk_judge() {{
  [ -e "$_stk_s/was" ] || return 0
  _stk_was=$_stk_nl$(cat "$_stk_s/was")$_stk_nl
  _stk_same "$@" || while [ $# -gt 0 ]; do
    if [ -e "$_stk_s/m/$1" ]; then
      _stk_now=$(_stk_look "$2")
      case $_stk_was in *"$_stk_nl$_stk_now$_stk_nl"*) ;; *) : >"$_stk_s/k/$1" ;; esac
    fi
    shift 2
  done
}}
# Arguments N DIR...: directories that the engine made for mounts and the script changed are reported.
_stk_stubs() {{
  while [ $# -gt 0 ]; do
    if [ -e "$_stk_s/k/$1" ] && [ -d "$2" ]; then
      _stk_say "kept:$2"
      [ "$2" -nt "$_stk_s/was" ] || touch -- "$2"
    fi
    shift 2
  done
}}

# Arguments K NAME...: bound files taken away, what was there before put back. One without its second link may be
# anywhere.
_stk_away() {{
  _stk_k=$1
  shift
  for _stk_f; do
    [ -e "$_stk_s/f/$_stk_k/$_stk_f" ] || [ -L "$_stk_s/f/$_stk_k/$_stk_f" ] || _stk_bad=1
  done
  _stk_where "$_stk_k" || return 0
  # The directory is where it was, or what was in it went with it.
  if cd -P -- "$_stk_r/" 2>/dev/null && {{ [ "$PWD" = "$_stk_r" ] || [ -z "$_stk_r" ]; }}; then
    _stk_c=
    for _stk_f; do if [ -d "$_stk_f" ] && [ ! -L "$_stk_f" ]; then _stk_c=1; fi; done
    if [ -z "$_stk_c" ]; then
      rm -f -- "$@" || _stk_bad=1
    else
      for _stk_f; do
        if [ -L "$_stk_f" ] || [ ! -d "$_stk_f" ]; then rm -f -- "$_stk_f" || _stk_bad=1; fi
      done
    fi
    if [ -d "$_stk_s/o/$_stk_k" ]; then
      for _stk_f; do
        _stk_o=$_stk_s/o/$_stk_k/$_stk_f
        if [ -e "$_stk_o" ] || [ -L "$_stk_o" ]; then
          [ -d "$_stk_f" ] && [ ! -L "$_stk_f" ] || mv -f -- "$_stk_o" "$_stk_f" || _stk_bad=1
        fi
      done
    fi
  fi
  cd /
}}
_stk_restore() {{
  _stk_k=$1
  shift
  for _stk_f; do
    [ ! -e "$_stk_s/o/$_stk_k/$_stk_f" ] || cp -p -- "$_stk_s/o/$_stk_k/$_stk_f" "/etc/$_stk_f" || _stk_bad=1
  done
}}
# Arguments K...: after all were taken away none has another link; one that has was moved or linked.
_stk_survivors() {{
  _stk_c=$# _stk_ks=$*
  while [ $_stk_c -gt 0 ]; do
    [ ! -d "$_stk_s/f/$1" ] || set -- "$@" "$_stk_s/f/$1"
    shift
    _stk_c=$((_stk_c - 1))
  done
  [ $# != 0 ] || return 0
  _stk_o=$(ls -lnA "$@") || _stk_bad=1
  set -f
  IFS=$_stk_nl
  for _stk_f in $_stk_o; do
    IFS=' '
    case $_stk_f in [-l]?????????[\ .+@]*) set -- $_stk_f && [ "$2" = 1 ] || _stk_c=1 ;; esac
  done
  unset IFS
  set +f
  [ $_stk_c != 0 ] || return 0
  for _stk_k in $_stk_ks; do
    for _stk_o in "$_stk_s/f/$_stk_k"/* "$_stk_s/f/$_stk_k"/.[!.]* "$_stk_s/f/$_stk_k"/..?*; do
      [ -e "$_stk_o" ] || [ -L "$_stk_o" ] || continue
      set -- $(ls -lnid -- "$_stk_o")
      [ "$3" != 1 ] || continue
      _stk_f=$(find / -xdev -path "$_stk_s" -prune -o -inum "$1" -print -exec rm -f -- {{}} \;)
      _stk_say "left:$_stk_k:${{_stk_o##*/}}:$_stk_f"
    done
  done
}}
# Arguments N DIR..., innermost first: what was made for the placing, and is empty, goes.
_stk_unmake() {{
  _stk_c=$#
  while [ $_stk_c -gt 0 ]; do
    if [ -e "$_stk_s/m/$1" ]; then
      if [ ! -e "$_stk_s/k/$1" ]; then
        set -- "$@" "$2"
      elif [ -d "$2" ] && [ ! "$2" -nt "$_stk_s/was" ]; then
        touch -- "$2"
      fi
    fi
    shift 2
    _stk_c=$((_stk_c - 2))
  done
  [ $# = 0 ] || rmdir -- "$@" 2>/dev/null
  for _stk_d; do [ ! -d "$_stk_d" ] || touch -- "$_stk_d" || _stk_bad=1; done
}}
# Arguments N DIR..., innermost first: the directories of plugins, with Python's caches; then the state.
_stk_end() {{ _stk_of_made _stk_end_made "$@"; }}
_stk_end_made() {{
  for _stk_d; do case $_stk_d in {PLUGINS_DIR}*) [ ! -d "$_stk_d/__pycache__" ] || rm -rf "$_stk_d/__pycache__" ;; esac; done
  rm -rf "$_stk_s" {ARCHIVE} || _stk_bad=1
  [ $# = 0 ] || rmdir -- "$@" 2>/dev/null
  [ ! -f {RUN_FILE} ] || rm -f {RUN_FILE}
  [ -z "$_stk_bad" ] || _stk_say bad
}}

_stk_set() {{ _stk_v=$1; eval "export $1=\$2 && [ \"\$$1\" = \"\$2\" ]" 2>/dev/null || exit 125; }}
_stk_refused() {{ _stk_say "variable:$_stk_v"; }}
# Arguments NAME [GROUP]: users and groups by name are those of the image.
_stk_known() {{
  while IFS=: read -r _stk_f _stk_o; do [ "$_stk_f" != "$2" ] || return 0; done <"$1"
  _stk_say "unknown:$2"
  exit 125
}}
# What a program leaves outside of its layer.
_stk_outside() {{
  cat /proc/self/mountinfo /proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/sysvipc/* \
    /proc/$$/limits /proc/$$/oom_score_adj {" ".join(DOCKER_FILES)} 2>&1
  ls -lnA /dev /dev/shm /dev/mqueue "$@" 2>&1 | while read -r _stk_f; do
    case $_stk_f in total*|*' .stalker') ;; *) printf '%s\n' "$_stk_f" ;; esac
  done
  _stk_look {" ".join(DOCKER_FILES)} {" ".join(ENGINE_MADE)} "$@" | while read -r _stk_f _stk_u _stk_g _stk_t; do
    printf '%s\n' "$_stk_f $_stk_u $_stk_g"
  done
}}
# Arguments PATH...: has one what an engine drops at a commit, or might it? Then the exit code is 0. So it is with hard
# links, which hold as long as their files are in one layer: a change to one in the next container breaks them.
# An engine does not list a directory of which only attributes changed, so where an image has a command that
# sets them, no look at what is listed proves anything.
_stk_drops() {{
  for _stk_f; do [ ! -S "$_stk_f" ] || return 0; done
  _stk_o=$(ls -lnd -- "$@" | while read -r _stk_m _stk_c _stk_t; do
    case $_stk_m in -*) [ "$_stk_c" = 1 ] || echo linked ;; esac
  done)
  [ -z "$_stk_o" ] || return 0
  for _stk_f in setfattr setfacl; do ! command -v $_stk_f >/dev/null || return 0; done
  case $(tar --version 2>/dev/null) in
    *GNU*)
      tar -c --format=pax --xattrs --xattrs-include='user.*' --acls --no-recursion -f - -- "$@" 2>/dev/null |
        grep -q 'SCHILY\.xattr\.user\|SCHILY\.acl'
      ;;
    *) command -v python3 >/dev/null ;;
  esac
}}
# Argument PATH: was a script with a time of 1980 read since?
_stk_open() {{ case $(ls -lnu -- "$1" 2>/dev/null) in *' 1980 '*) return 1 ;; esac; }}
# Argument PORT in hex: does something listen on it?
_stk_listens() {{
  for _stk_p in /proc/net/tcp /proc/net/tcp6; do
    [ -e $_stk_p ] || continue
    while read -r _stk_k _stk_f _stk_o _stk_t _stk_v; do
      case "$_stk_t:${{_stk_f##*:}}" in "0A:$1") return 0 ;; esac
    done <$_stk_p
  done
  return 1
}}
_stk_count() {{
  _stk_left=0
  {{ read -r _stk_idle <{IDLE_FILE}; }} 2>/dev/null || _stk_idle=0
  read -r _stk_self </proc/self/stat
  _stk_self=${{_stk_self%% *}}
  for _stk_p in /proc/[0-9]*; do
    _stk_p=${{_stk_p#/proc/}}
    case $_stk_p in 1|$$|$_stk_self|$_stk_idle) continue;; esac
    read -r _stk_stat 2>/dev/null </proc/$_stk_p/stat || continue
    case ${{_stk_stat##*) }} in Z*) ;; *) _stk_left=$((_stk_left + 1));; esac
  done
}}
# What the container has used: nanoseconds of the processors, and the most bytes of memory it held at once.
_stk_use() {{
  _stk_t=
  if {{ read -r _stk_f </sys/fs/cgroup/cpuacct/cpuacct.usage; }} 2>/dev/null; then
    {{ read -r _stk_t </sys/fs/cgroup/memory/memory.max_usage_in_bytes; }} 2>/dev/null
  elif {{ read -r _stk_o _stk_f </sys/fs/cgroup/cpu.stat; }} 2>/dev/null; then
    _stk_f=${{_stk_f}}000
    {{ read -r _stk_t </sys/fs/cgroup/memory.peak; }} 2>/dev/null
  else
    return 0
  fi
  _stk_say "used:$_stk_f:$_stk_t"
}}
_stk_done() {{
  _stk_use
  _stk_count
  _stk_clean=0
  if [ -n "${{_stk_base-}}" ] && [ "$(eval "_stk_outside $_stk_tmpfs")" = "$_stk_base" ]; then _stk_clean=1; fi
  _stk_say "done:$_stk_rc:$_stk_left:$_stk_clean"
}}
"""

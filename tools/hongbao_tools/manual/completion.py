"""Bash completion for all commands: flags, and the values that can be known (files, folders, the words of A|B)."""

import re

_HEAD = """# bash completion for hongbao {version}, made by tools/manual. For the programs it is loaded by itself once installed; in the source
# tree: . build/docs/hongbao

# What is known of a command in a context (a subcommand, or a flag that changes all others): its flags.
_hongbao_flags() {{
  case $1 in
{flags}  esac
}}

# What may follow a flag: words, and "file" or "folder" for names of them; "prefix:file" for a name behind a prefix.
_hongbao_values() {{
  case $1 in
{values}  esac
}}

# The subcommands and modes of a command.
_hongbao_contexts() {{
  case $1 in
{contexts}  esac
}}
"""
_BODY = r"""
_hongbao() {
  local cur=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[0]##*/} context= word behind= kind
  COMPREPLY=()
  for word in $(_hongbao_contexts "$command"); do
    case " ${COMP_WORDS[*]:1:COMP_CWORD - 1} " in *" $word "*) context=" $word" ;; esac
  done
  # Bash parts words at = and at :, so that --flag=sqlite:file are five of them.
  if [[ $cur = : ]]; then behind=$flag cur= flag=${COMP_WORDS[COMP_CWORD - 2]}
  elif [[ $flag = : ]]; then behind=${COMP_WORDS[COMP_CWORD - 2]} flag=${COMP_WORDS[COMP_CWORD - 3]}
  fi
  [[ $behind && $flag = = ]] && flag=${COMP_WORDS[COMP_CWORD - 4]}
  if [[ $cur = = ]]; then cur=
  elif [[ $flag = = ]]; then flag=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if kind=$(_hongbao_values "$command$context $flag") && [[ $kind ]]; then
    _hongbao_reply "$cur" "$behind" $kind
  elif [[ ! $behind && ! " $(_hongbao_takes "$command$context") " = *" $flag "* ]]; then
    kind=$(_hongbao_values "$command$context")
    [[ $cur = -* || ! $kind ]] && kind=$(_hongbao_flags "$command$context")
    _hongbao_reply "$cur" "" $kind
  fi
}

# _hongbao_reply CURRENT BEHIND KIND...: fills COMPREPLY.
_hongbao_reply() {
  local cur=$1 behind=$2 kind words= found
  shift 2
  for kind; do
    case $kind in
      file | folder) [[ $behind ]] || { found=-f; [[ $kind = folder ]] && found=-d; } ;;
      *:file) if [[ $behind = "${kind%:file}" ]]; then found=-f; else words="$words ${kind%file}"; fi ;;
      *) words="$words $kind" ;;
    esac
  done
  [[ $behind ]] && words=
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur"; [[ $found ]] && compgen "$found" -- "$cur")
  [[ $found ]] && compopt -o filenames 2>/dev/null
  [[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} = *: ]] && compopt -o nospace 2>/dev/null
  return 0
}
"""


def values_of(metavar):
    """'1|2' -> ['1', '2']; 'FILE' -> ['file']; 'sqlite:FILE|none' -> ['sqlite:file', 'none']; [] for a number, a time, an address."""
    found = []
    for one in metavar.split("|"):
        prefix, colon, name = one.rpartition(":")
        if name in ("FILE", "PATH") and (not colon or re.fullmatch("[a-z]+", prefix)):
            found.append(f"{prefix}{colon}file")
        elif one == "DIR":
            found.append("folder")
        elif re.fullmatch(r"[a-z0-9.]+", one) and one != "...":
            found.append(one)
    return found


def _case(key, words):
    return f"    '{key}') echo '{' '.join(words)}' ;;\n"


def names_of(command):
    """What the command may be called: as it is typed here and from elsewhere; `test` alone is the shell's own."""
    base = command.prose.typed.rpartition("/")[2]
    if not command.prose.is_tool:
        return [base]
    return [command.prose.typed, "./" + command.prose.typed, *([] if base in ("test",) else [base])]


def script(commands, version):
    """The whole file."""
    flags, values, takes, contexts = [], [], [], []
    for command in commands:
        base = command.prose.typed.rpartition("/")[2]
        if len(command.helps) > 1:
            contexts.append(_case(base, [context for context in command.helps if context]))
        for context, found in command.helps.items():
            key = f"{base} {context}".rstrip()
            flags.append(_case(key, sorted(found.flag_names())))
            takes.append(_case(key, sorted(name for flag in found.flags for name in flag.names if flag.value)))
            if found.places:
                named = [name for name, _ in found.subcommands]
                values.append(_case(key, named or command.prose.values.get(found.places[0][0], ["file"])))
            for flag in found.flags:
                words = [*values_of(flag.value), *command.prose.values.get(flag.key, [])]
                if words:
                    values += [_case(f"{key} {name}", words) for name in flag.names]
    head = _HEAD.format(version=version, flags="".join(flags), values="".join(values), contexts="".join(contexts))
    listed = "\n# The flags that take a value.\n_hongbao_takes() {\n  case $1 in\n" + "".join(takes) + "  esac\n}\n"
    names = [name for command in commands for name in names_of(command)]
    return head + listed + _BODY + "\n" + "".join(f"complete -F _hongbao {name}\n" for name in names)

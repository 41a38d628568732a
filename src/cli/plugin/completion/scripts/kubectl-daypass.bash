# Completion of kubectl-daypass for bash: source this file. An alias is completed too, as in:
#   alias kd=kubectl-daypass; complete -o default -F _kubectl_daypass kd

_kubectl_daypass() {
    local rest=${COMP_LINE:0:COMP_POINT} directive='' typed part before line value i
    local -a words=()
    # Readline parts words at = and : too, which belong to flags and names here.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        part=${COMP_WORDS[i]}
        if ((i == 0)) || [[ $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            words+=("$part")
        else
            words[${#words[@]} - 1]+=$part
        fi
        rest=${rest#"$part"}
    done
    typed=${words[${#words[@]} - 1]}
    [[ $typed == --*=* ]] && typed=${typed#*=}
    part=${COMP_WORDS[COMP_CWORD]}
    [[ $part == [=:] ]] && part=''
    before=${typed%"$part"}
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :* ]]; then
            directive=$line
            continue
        fi
        value=${line%%$'\t'*}
        value=${value#"$before"}
        [[ $value == *[!A-Za-z0-9_./:@%+=,-]* ]] && printf -v value %q "$value"
        COMPREPLY+=("$value")
    done < <(kubectl-daypass __complete "${words[@]:1}" 2>/dev/null)
    # Older shells have none of these options, and do without.
    [[ $directive == :0 ]] || compopt +o default 2>/dev/null
    [[ $directive == :36 ]] && compopt -o nosort 2>/dev/null
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -o default -F _kubectl_daypass kubectl-daypass

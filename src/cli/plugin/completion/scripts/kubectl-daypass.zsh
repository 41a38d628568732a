#compdef kubectl-daypass
# Completion of kubectl-daypass for zsh: source this file once compinit has run, or put it into a folder of $fpath under the
# name _kubectl-daypass.

_kubectl_daypass() {
    local -a answer found order
    local line value about directive
    answer=("${(@f)$(kubectl-daypass __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    directive=${answer[-1]}
    answer[-1]=()
    [[ ${words[CURRENT]} == --*=* ]] && compset -P '*='
    for line in "${answer[@]}"; do
        value=${line%%$'\t'*} about=''
        [[ $line == *$'\t'* ]] && about=${line#*$'\t'}
        found+=("${value//:/\\:}${about:+:$about}")
    done
    [[ $directive == :36 ]] && order=(-V)
    if ((${#found})); then
        _describe $order -t daypass 'kubectl daypass' found
    elif [[ $directive == :0 ]]; then
        _files
    fi
}

if [[ ${funcstack[1]} == _kubectl-daypass ]]; then
    _kubectl_daypass "$@"
else
    compdef _kubectl_daypass kubectl-daypass
fi

# Completion of kubectl-daypass for fish: source this file, or put it into ~/.config/fish/completions.

function __kubectl_daypass_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l answer (kubectl-daypass __complete $words[2..-1] "$typed" 2>/dev/null)
    set -l directive "$answer[-1]"
    set -e answer[-1]
    set -l before (string match -r -- '^--[^=]+=' "$typed")
    if test "$directive" = :0
        __fish_complete_path (string replace -- "$before" '' "$typed")
    end
    for line in $answer
        printf '%s%s\n' "$before" $line
    end
end

complete -c kubectl-daypass -f -k -a '(__kubectl_daypass_complete)'

# Completion of kubectl-daypass for PowerShell: run this script, such as from the profile.

Register-ArgumentCompleter -Native -CommandName 'kubectl-daypass' -ScriptBlock {
    param($typed, $line, $cursor)
    $before = $line.CommandElements | Select-Object -Skip 1 | Where-Object { $_.Extent.EndOffset -lt $cursor }
    # Older ones drop an argument that is empty.
    $last = if ($typed -or $PSVersionTable.PSVersion -ge [version]'7.3') { "$typed" } else { '""' }
    $words = @($before | ForEach-Object { "$_" }) + $last
    $flag = if ("$typed" -match '^(--[^=]+=)') { $Matches[1] } else { '' }
    & kubectl-daypass __complete @words 2>$null | Where-Object { $_ -notmatch '^:\d+$' } | ForEach-Object {
        $value, $about = $_ -split "`t", 2
        if (-not $about) { $about = $value }
        $text = if ($value -match '[\s''"$`;(){}|&]') { "'" + $value.Replace("'", "''") + "'" } else { $value }
        [System.Management.Automation.CompletionResult]::new("$flag$text", $value, 'ParameterValue', $about)
    }
}

// Another reading of the log: golang.org/x/mod, by which Go checks the modules that it downloads.
module daypass.dev/e2e/proof/oracle

go 1.26.0

require golang.org/x/mod v0.43.0

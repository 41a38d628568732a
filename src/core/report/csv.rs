//! Lines of CSV, as RFC 4180 writes them.
//!
//! Owns what a spreadsheet must not calculate. It must not know what stands in a cell.

/// A line of cells. A spreadsheet would calculate what begins like a formula, so that gets a quote in front.
pub fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let quoted = cells.into_iter().map(|cell| {
        let cell = cell.as_ref();
        let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
        let cell = format!("{guard}{cell}");
        if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_calculate_is_text_and_what_parts_cells_is_quoted() {
        assert_eq!(
            line(["=1+1", "-2", "a,b", "say \"so\"", "two\nlines", "plain", ""]),
            "'=1+1,'-2,\"a,b\",\"say \"\"so\"\"\",\"two\nlines\",plain,\r\n"
        );
    }
}

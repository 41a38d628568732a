//! A log that is written, renamed, packed, cut off and removed while it is read.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::position::TailPosition;
use super::reader::{LogBatch, LogGap, LogReader};
use crate::api::delivery::MOST_BYTES;

/// A log as the API server keeps it.
struct WrittenLog {
    folder: tempfile::TempDir,
    /// How often it was renamed.
    renamed: usize,
}

impl WrittenLog {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), renamed: 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn write(&self, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn lines(&self, range: std::ops::Range<usize>) {
        range.for_each(|n| self.write(&line(n)));
    }

    /// As lumberjack does; the next file is there when the next line is written.
    fn rename(&mut self) -> PathBuf {
        self.renamed += 1;
        let to = self.folder.path().join(format!("audit-2026-11-30T09-15-02.{:03}.log", self.renamed));
        fs::rename(self.path(), &to).unwrap();
        to
    }

    fn reader(&self, position: Option<&TailPosition>) -> LogReader {
        LogReader::of(self.path(), position.cloned())
    }
}

fn line(n: usize) -> String {
    format!("{{\"auditID\":\"{n:08}\",\"more\":\"{}\"}}\n", "x".repeat(n % 7))
}

fn text(range: std::ops::Range<usize>) -> String {
    range.map(line).collect()
}

/// Writes the packed file and takes the plain one away.
fn pack(path: &Path) {
    let mut packed = GzEncoder::new(File::create(format!("{}.gz", path.display())).unwrap(), Compression::fast());
    packed.write_all(&fs::read(path).unwrap()).unwrap();
    packed.finish().unwrap();
    fs::remove_file(path).unwrap();
}

/// Reads until nothing is new. The lines, the last position, and what may be missing.
fn all(reader: &mut LogReader) -> (String, Option<TailPosition>, Vec<LogGap>) {
    let (mut lines, mut position, mut gaps) = (String::new(), None, Vec::new());
    loop {
        let batch: LogBatch = reader.next_batch().unwrap();
        assert_eq!(batch.events, batch.lines.iter().filter(|byte| **byte == b'\n').count());
        let ended = batch.lines.is_empty() && !batch.more && batch.position.is_none();
        lines.push_str(std::str::from_utf8(&batch.lines).unwrap());
        position = batch.position.or(position);
        gaps.extend(batch.gaps);
        if ended {
            return (lines, position, gaps);
        }
    }
}

#[test]
fn a_log_that_is_not_there_is_waited_for() {
    let log = WrittenLog::new();
    let mut reader = log.reader(None);
    assert!(reader.next_batch().unwrap().waits);
    log.lines(0..3);
    assert_eq!(all(&mut reader).0, text(0..3));
    assert!(!reader.next_batch().unwrap().waits);
}

#[test]
fn a_line_is_sent_when_it_is_whole() {
    let log = WrittenLog::new();
    log.write(&line(1)[..9]);
    let mut reader = log.reader(None);
    assert_eq!(all(&mut reader).0, "");
    log.write(&line(1)[9..]);
    log.write("{");
    let (lines, position, _) = all(&mut reader);
    assert_eq!(lines, line(1));
    // Who starts behind it reads the rest of the half one.
    log.write("}\n");
    assert_eq!(all(&mut log.reader(position.as_ref())).0, "{}\n");
}

#[test]
fn it_goes_on_where_it_was_after_a_restart_whatever_became_of_the_file() {
    for (became, packs) in [("nothing", false), ("renamed", false), ("packed", true)] {
        let mut log = WrittenLog::new();
        log.lines(0..10);
        let (_, position, _) = all(&mut log.reader(None));
        log.lines(10..20);
        if became != "nothing" {
            for n in 2..5 {
                let path = log.rename();
                if packs {
                    pack(&path);
                }
                log.lines(n * 10..n * 10 + 10);
            }
        }
        let end = if became == "nothing" { 20 } else { 50 };
        let (lines, position, gaps) = all(&mut log.reader(position.as_ref()));
        assert_eq!((lines.as_str(), gaps), (text(10..end).as_str(), Vec::new()), "{became}");
        assert_eq!(all(&mut log.reader(position.as_ref())).0, "", "{became}");
    }
}

#[test]
fn a_first_start_reads_what_was_renamed_before_it_too() {
    let mut log = WrittenLog::new();
    for n in 0..3 {
        log.lines(n * 5..n * 5 + 5);
        let path = log.rename();
        if n == 0 {
            pack(&path);
        }
    }
    log.lines(15..20);
    assert_eq!(all(&mut log.reader(None)).0, text(0..20));
}

#[test]
fn renaming_under_the_reader_loses_nothing_however_often_and_whatever_is_removed() {
    let mut log = WrittenLog::new();
    let (mut reader, mut lines) = (log.reader(None), String::new());
    let mut position = None;
    for n in 0..12 {
        log.lines(n * 10..n * 10 + 5);
        let read = all(&mut reader);
        assert_eq!(read.2, Vec::new(), "{n}");
        lines.push_str(&read.0);
        position = read.1.or(position);
        log.lines(n * 10 + 5..n * 10 + 10);
        let path = log.rename();
        if n % 3 == 0 {
            pack(&path);
        }
        if n % 4 == 3 {
            // A second one before the reader looks again.
            log.write("");
            log.rename();
        }
    }
    lines.push_str(&all(&mut reader).0);
    assert_eq!(lines, text(0..120));
    // The file that is open is read to its end when it has no name any more.
    log.lines(120..125);
    assert_eq!(all(&mut reader).0, text(120..125));
    log.lines(125..130);
    fs::remove_file(log.rename()).unwrap();
    log.lines(130..135);
    let (lines, _, gaps) = all(&mut reader);
    assert_eq!((lines, gaps), (text(125..135), vec![LogGap::Removed]), "what came behind it may be gone too");
}

#[test]
fn a_file_that_went_before_it_was_read_is_told() {
    let mut log = WrittenLog::new();
    log.lines(0..5);
    let (_, position, _) = all(&mut log.reader(None));
    log.lines(5..10);
    let lost = log.rename();
    log.lines(10..15);
    log.rename();
    log.lines(15..20);
    fs::remove_file(lost).unwrap();
    let (lines, position, gaps) = all(&mut log.reader(position.as_ref()));
    assert_eq!((lines, gaps), (text(10..20), vec![LogGap::Removed]));
    assert_eq!(all(&mut log.reader(position.as_ref())).2, Vec::new(), "it is told once");
}

#[test]
fn another_file_of_the_same_inode_is_not_taken_for_the_one_before() {
    let log = WrittenLog::new();
    log.lines(0..5);
    let (_, position, _) = all(&mut log.reader(None));
    // Written anew in place it keeps its inode, and is longer than it was read.
    let mut file = OpenOptions::new().write(true).truncate(true).open(log.path()).unwrap();
    file.write_all(text(100..120).as_bytes()).unwrap();
    let (lines, _, gaps) = all(&mut log.reader(position.as_ref()));
    assert_eq!((lines, gaps), (text(100..120), vec![LogGap::Removed]));
}

#[test]
fn a_log_that_is_cut_off_under_the_reader_is_told_and_read_from_its_beginning() {
    let log = WrittenLog::new();
    log.lines(0..5);
    let mut reader = log.reader(None);
    all(&mut reader);
    for (n, again) in [(10, 12), (20, 60)] {
        let before = fs::metadata(log.path()).unwrap().len();
        let mut file = OpenOptions::new().write(true).truncate(true).open(log.path()).unwrap();
        file.write_all(text(n..again).as_bytes()).unwrap();
        let (lines, _, gaps) = all(&mut reader);
        assert_eq!((lines, gaps), (text(n..again), vec![LogGap::CutOff(before)]));
    }
}

#[test]
fn a_packed_file_that_is_broken_is_told_and_keeps_no_other_back() {
    let mut log = WrittenLog::new();
    for n in 0..3 {
        log.lines(n * 100..n * 100 + 100);
        let path = log.rename();
        pack(&path);
        let packed = format!("{}.gz", path.display());
        let bytes = fs::read(&packed).unwrap();
        match n {
            0 => fs::write(&packed, "no gzip").unwrap(),
            1 => fs::write(&packed, &bytes[..bytes.len() - 6]).unwrap(),
            _ => {}
        }
    }
    let (lines, _, gaps) = all(&mut log.reader(None));
    let broken = |n: usize| LogGap::Broken(format!("audit-2026-11-30T09-15-02.00{n}.log"));
    assert_eq!(gaps, [broken(1), broken(2)]);
    assert!(lines.ends_with(&text(200..300)));
}

#[test]
fn a_line_longer_than_an_archive_takes_is_left_out_and_counted() {
    let log = WrittenLog::new();
    let longest = format!("{}\n", "y".repeat(MOST_BYTES - 1));
    for long in [MOST_BYTES, 3 * MOST_BYTES] {
        log.write(&line(1));
        log.write(&"x".repeat(long));
        log.write("\n");
        log.write(&line(2));
    }
    log.write(&longest);
    let (mut reader, mut lines, mut too_long) = (log.reader(None), Vec::new(), 0);
    loop {
        let batch = reader.next_batch().unwrap();
        assert!(batch.lines.len() <= MOST_BYTES);
        too_long += batch.too_long;
        lines.extend_from_slice(&batch.lines);
        if !batch.more && batch.lines.is_empty() {
            break;
        }
    }
    let short = [line(1), line(2), line(1), line(2)].concat();
    assert_eq!((lines.len(), too_long), (short.len() + longest.len(), 2));
    assert!(lines.starts_with(short.as_bytes()));
}

#[test]
fn a_half_line_at_the_end_of_a_file_that_is_over_comes_by_itself() {
    let mut log = WrittenLog::new();
    log.lines(0..2);
    log.write("{\"half\":1}");
    let mut reader = log.reader(None);
    assert_eq!(all(&mut reader).0, text(0..2));
    log.rename();
    log.lines(2..4);
    assert_eq!(all(&mut reader).0, format!("{{\"half\":1}}\n{}", text(2..4)));
}

#[test]
fn how_much_is_not_read_yet_is_known() {
    let mut log = WrittenLog::new();
    log.lines(0..10);
    log.rename();
    log.lines(10..20);
    let mut reader = log.reader(None);
    let first = reader.next_batch().unwrap();
    assert_eq!((first.lines.len(), first.behind), (text(0..10).len(), text(10..20).len() as u64));
    assert!(first.more);
    all(&mut reader);
    assert_eq!(reader.next_batch().unwrap().behind, 0);
}

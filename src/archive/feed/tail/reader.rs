//! Reading a log that is written meanwhile, renamed, packed, cut off and removed.
//!
//! Owns which file comes next and where a line ends. It holds one batch and the line that is being written, and never more
//! than the longest line that an archive takes. What it cannot show it has read is told as a [`LogGap`]. It must not keep a
//! position: whoever sends the lines does, when they have arrived.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::folder::{RotatedLog, rotated};
use super::position::{FilePlace, HEAD, TailPosition};
use crate::api::delivery::MOST_BYTES;

/// How many bytes a batch should have; one line may have more.
const BATCH: usize = 2 << 20;
/// How many are read at a time.
const CHUNK: usize = 256 << 10;
/// Longest line that is sent: an archive takes no more at a time.
const LONGEST: usize = MOST_BYTES - 1;
/// How often the folder is looked at when files are packed or removed between looking and opening.
const LOOKS: usize = 5;

/// Lines that may never have been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogGap {
    /// The file that was being read is there no more, under no name.
    Removed,
    /// The file that was being read was cut off or written anew in place, after so many bytes were read.
    CutOff(u64),
    /// A packed file, of this name before it was packed, cannot be unpacked to its end.
    Broken(String),
}

impl fmt::Display for LogGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str(
                "a file of the log was removed before it was read to its end; keep more of them with --audit-log-maxbackup, \
                 or larger ones with --audit-log-maxsize",
            ),
            Self::CutOff(offset) => write!(
                f,
                "the log was cut off in place behind byte {offset}; let the API server alone rename it (--audit-log-maxsize)"
            ),
            Self::Broken(name) => write!(f, "{name}.gz cannot be unpacked to its end; it was packed by halves, or its disk is full"),
        }
    }
}

/// What was read in one go.
#[derive(Debug, Default)]
pub struct LogBatch {
    /// Whole lines, each with its end.
    pub lines: Vec<u8>,
    /// How many lines.
    pub events: usize,
    /// Where the log is read to with them, where that is another place than before.
    pub position: Option<TailPosition>,
    /// What may be missing before them.
    pub gaps: Vec<LogGap>,
    /// How many lines were left out, since no archive takes so long ones.
    pub too_long: u64,
    /// How many files were read to their end.
    pub files: u64,
    /// Bytes of the log that are not read yet; of packed files as they are packed.
    pub behind: u64,
    /// Whether there was more to read than fitted.
    pub more: bool,
    /// Whether there is no log yet.
    pub waits: bool,
}

/// A file of the log, plain or packed. Positions in it are those of the plain bytes.
enum LogFile {
    Plain(File),
    Packed(Box<MultiGzDecoder<File>>),
}

impl Read for LogFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Packed(file) => file.read(into),
        }
    }
}

/// The file that is being read.
struct OpenLog {
    file: LogFile,
    /// Its name, where it was renamed before it was opened.
    rotated: Option<String>,
    /// Its first bytes.
    head: Vec<u8>,
    /// Where what is in `read` begins.
    offset: u64,
    /// Bytes behind that, of which no batch has been made.
    read: Vec<u8>,
    /// Whether a line is being left out, until its end.
    skips: bool,
}

/// A log that is followed.
pub struct LogReader {
    log: PathBuf,
    position: TailPosition,
    open: Option<OpenLog>,
    /// Whether it is still to be found where the position is.
    begins: bool,
}

impl LogReader {
    /// Behind this position, or from the oldest line that is there.
    pub fn of(log: PathBuf, position: Option<TailPosition>) -> Self {
        let begins = position.is_some();
        Self { log, position: position.unwrap_or_default(), open: None, begins }
    }

    /// What is there to send next; nothing, where nothing new was written. It goes on behind that the next time, so what it
    /// gave must be sent or kept.
    ///
    /// # Errors
    /// When a file or the folder cannot be read. What was not given yet will be, the next time.
    pub fn next_batch(&mut self) -> io::Result<LogBatch> {
        let mut batch = LogBatch::default();
        let before = self.position.clone();
        if self.begins {
            self.find(&mut batch)?;
            self.begins = false;
        }
        while batch.lines.is_empty() {
            let Some(mut open) = self.next_open(&mut batch)? else {
                batch.waits = true;
                break;
            };
            let step = self.step(&mut open, &mut batch);
            // Of a file that could not be read to its end, what is behind the last batch is read again.
            match step {
                Ok(ReadStep::Goes) => self.open = Some(open),
                Ok(ReadStep::Waits) => {
                    self.open = Some(open);
                    break;
                }
                Ok(ReadStep::Over(name)) => self.over(name, &mut batch),
                Err(error) if is_broken(&error) && matches!(open.file, LogFile::Packed(_)) => {
                    self.broken(open.rotated.unwrap_or_default(), &mut batch);
                }
                Err(error) => {
                    self.begins = true;
                    return Err(error);
                }
            }
        }
        batch.events = batch.lines.iter().filter(|byte| **byte == b'\n').count();
        batch.behind = self.behind();
        batch.position = (self.position != before).then(|| self.position.clone());
        Ok(batch)
    }

    /// The file in which the position is.
    fn find(&mut self, batch: &mut LogBatch) -> io::Result<()> {
        let Some(place) = self.position.file.clone() else {
            // Nothing of the file behind the finished one was read; it is the next one if that is still there.
            if let Some(finished) = &self.position.finished
                && !rotated(&self.log)?.iter().any(|one| one.name == *finished)
            {
                batch.gaps.push(LogGap::Removed);
            }
            return Ok(());
        };
        for _ in 0..LOOKS {
            match self.found(&place) {
                Ok(Some(open)) => {
                    self.open = Some(open);
                    return Ok(());
                }
                Ok(None) => break,
                // Renamed or packed since it was looked at.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        batch.gaps.push(LogGap::Removed);
        self.position.file = None;
        Ok(())
    }

    fn found(&self, place: &FilePlace) -> io::Result<Option<OpenLog>> {
        let live = match OpenLog::begin(&self.log, None) {
            Ok(open) => Some(open),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let renamed = rotated(&self.log)?;
        let renamed = renamed.iter().rev().map(OpenLog::begin_rotated);
        for open in live.map(Ok).into_iter().chain(renamed) {
            let mut open = match open {
                Err(error) if is_broken(&error) => continue,
                open => open?,
            };
            if place.is_in(&open.head) && open.go_to(place.offset)? {
                return Ok(Some(open));
            }
        }
        Ok(None)
    }

    /// The file that is open, or the oldest that was not read, or the one that is written.
    fn next_open(&mut self, batch: &mut LogBatch) -> io::Result<Option<OpenLog>> {
        if let Some(open) = self.open.take() {
            return Ok(Some(open));
        }
        for _ in 0..LOOKS {
            let opened = match self.oldest_unread()? {
                Some(one) => match OpenLog::begin_rotated(&one) {
                    Err(error) if one.packed && is_broken(&error) => {
                        self.broken(one.name, batch);
                        continue;
                    }
                    opened => opened,
                },
                None => OpenLog::begin(&self.log, None),
            };
            match opened {
                // Renamed between the look into the folder and the opening, the file before it was not seen.
                Ok(open) if open.rotated.is_none() && self.oldest_unread()?.is_some() => {}
                Ok(open) => return Ok(Some(open)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn oldest_unread(&self) -> io::Result<Option<RotatedLog>> {
        Ok(rotated(&self.log)?.into_iter().find(|one| Some(&one.name) > self.position.finished.as_ref()))
    }

    fn broken(&mut self, name: String, batch: &mut LogBatch) {
        batch.gaps.push(LogGap::Broken(name.clone()));
        self.over(Some(name), batch);
    }

    fn step(&mut self, open: &mut OpenLog, batch: &mut LogBatch) -> io::Result<ReadStep> {
        if let Some(offset) = open.cut_off()? {
            batch.gaps.push(LogGap::CutOff(offset));
            open.begin_again()?;
            self.position.file = None;
        }
        let at_end = open.fill()?;
        open.cut(batch);
        self.position.file = FilePlace::behind(open.offset, &open.head);
        if !at_end || !batch.lines.is_empty() {
            // What comes behind the end of the file that is written is better sent together, a look later.
            batch.more = !at_end || open.rotated.is_some();
            return Ok(ReadStep::Goes);
        }
        if let Some(name) = open.rotated.clone() {
            open.rest(batch);
            return Ok(ReadStep::Over(Some(name)));
        }
        if !self.is_renamed(open)? {
            return Ok(ReadStep::Waits);
        }
        // What was written between the last reading and the renaming. Nothing comes behind it.
        if !open.fill()? || open.read.contains(&b'\n') {
            batch.more = true;
            return Ok(ReadStep::Goes);
        }
        let name = self.name_of(open)?;
        open.rest(batch);
        Ok(ReadStep::Over(name))
    }

    /// Whether another file is written now. While there is none, whoever writes may still have this one.
    fn is_renamed(&self, open: &OpenLog) -> io::Result<bool> {
        let LogFile::Plain(file) = &open.file else { return Ok(true) };
        let own = file.metadata()?;
        match fs::metadata(&self.log) {
            Ok(now) => Ok((now.dev(), now.ino()) != (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Under which name the file is now, that was read while it was written. None: under no name any more.
    fn name_of(&self, open: &OpenLog) -> io::Result<Option<String>> {
        let place = FilePlace::behind(open.offset, &open.head);
        for _ in 0..LOOKS {
            let mut again = false;
            for one in rotated(&self.log)?.iter().rev() {
                match OpenLog::begin_rotated(one) {
                    Ok(other) if other.is_same(open)? => return Ok(Some(one.name.clone())),
                    Ok(other) if place.as_ref().is_some_and(|place| place.is_in(&other.head)) => {
                        return Ok(Some(one.name.clone()));
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => again = true,
                    Err(error) if is_broken(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            if !again {
                break;
            }
        }
        Ok(None)
    }

    /// A file was read to its end. Where it is under no name any more, neither may be files that came after it.
    fn over(&mut self, name: Option<String>, batch: &mut LogBatch) {
        batch.files += 1;
        match name {
            Some(name) => self.position.finished = self.position.finished.take().max(Some(name)),
            None => batch.gaps.push(LogGap::Removed),
        }
        self.position.file = None;
    }

    /// As far as it can be told: a file that goes away meanwhile has no size.
    fn behind(&self) -> u64 {
        let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let unread = |one: &RotatedLog| Some(&one.name) > self.position.finished.as_ref();
        let renamed = rotated(&self.log).unwrap_or_default();
        let renamed: u64 = renamed.iter().filter(|one| unread(one)).map(|one| size(&one.path)).sum();
        let done = self.position.file.as_ref().map_or(0, |file| file.offset);
        (renamed + size(&self.log)).saturating_sub(done)
    }
}

/// As unpacking says that there is nothing to unpack.
fn is_broken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof)
}

enum ReadStep {
    /// There is more in this file.
    Goes,
    /// There may be more in it later.
    Waits,
    /// There will never be more in it; its name, if it has one.
    Over(Option<String>),
}

impl OpenLog {
    fn begin(path: &Path, rotated: Option<String>) -> io::Result<Self> {
        Self::with(LogFile::Plain(File::open(path)?), rotated)
    }

    fn begin_rotated(one: &RotatedLog) -> io::Result<Self> {
        if !one.packed {
            return Self::begin(&one.path, Some(one.name.clone()));
        }
        Self::with(LogFile::Packed(Box::new(MultiGzDecoder::new(File::open(&one.path)?))), Some(one.name.clone()))
    }

    fn with(mut file: LogFile, rotated: Option<String>) -> io::Result<Self> {
        let mut head = vec![0; HEAD];
        let mut length = 0;
        loop {
            match file.read(&mut head[length..])? {
                0 => break,
                count => length += count,
            }
        }
        head.truncate(length);
        let read = head.clone();
        Ok(Self { file, rotated, head, offset: 0, read, skips: false })
    }

    /// Goes on behind so many bytes; false, where there are not so many.
    fn go_to(&mut self, offset: u64) -> io::Result<bool> {
        if let LogFile::Plain(file) = &mut self.file {
            self.read.clear();
            self.offset = offset;
            file.seek(SeekFrom::Start(offset))?;
            return Ok(file.metadata()?.len() >= offset);
        }
        let mut left = usize::try_from(offset).map_err(io::Error::other)?;
        loop {
            let passed = left.min(self.read.len());
            self.read.drain(..passed);
            left -= passed;
            if left == 0 {
                self.offset = offset;
                return Ok(true);
            }
            if self.more()? == 0 {
                return Ok(false);
            }
        }
    }

    /// Whether the file is shorter than what was read, or begins otherwise; and how much was read.
    fn cut_off(&self) -> io::Result<Option<u64>> {
        let LogFile::Plain(file) = &self.file else { return Ok(None) };
        let done = self.offset + self.read.len() as u64;
        if file.metadata()?.len() < done {
            return Ok(Some(self.offset));
        }
        let mut head = vec![0; self.head.len()];
        match file.read_exact_at(&mut head, 0) {
            Ok(()) => Ok((head != self.head).then_some(self.offset)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(self.offset)),
            Err(error) => Err(error),
        }
    }

    fn begin_again(&mut self) -> io::Result<()> {
        if let LogFile::Plain(file) = &mut self.file {
            file.seek(SeekFrom::Start(0))?;
        }
        (self.offset, self.skips) = (0, false);
        self.read.clear();
        self.head.clear();
        Ok(())
    }

    /// Whether both are the same file on disk.
    fn is_same(&self, other: &Self) -> io::Result<bool> {
        let (LogFile::Plain(one), LogFile::Plain(other)) = (&self.file, &other.file) else { return Ok(false) };
        let (one, other) = (one.metadata()?, other.metadata()?);
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    }

    /// Reads until there is enough for a batch. Whether the end was reached.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            if self.read.len() >= BATCH && self.read.contains(&b'\n') || self.read.len() > LONGEST {
                return Ok(false);
            }
            if self.more()? == 0 {
                return Ok(true);
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let length = self.read.len();
        self.read.resize(length + CHUNK, 0);
        let count = self.file.read(&mut self.read[length..]);
        self.read.truncate(length + *count.as_ref().unwrap_or(&0));
        let count = count?;
        let of_head = (HEAD - self.head.len()).min(count);
        if self.offset + (length as u64) == self.head.len() as u64 {
            self.head.extend_from_slice(&self.read[length..length + of_head]);
        }
        Ok(count)
    }

    /// Moves whole lines into a batch.
    fn cut(&mut self, batch: &mut LogBatch) {
        if self.skips {
            let Some(end) = self.read.iter().position(|byte| *byte == b'\n') else { return self.pass(self.read.len()) };
            self.pass(end + 1);
            self.skips = false;
        }
        let within = self.read.len().min(BATCH);
        let end = self.read[..within].iter().rposition(|byte| *byte == b'\n');
        match end.or_else(|| self.read.iter().position(|byte| *byte == b'\n')) {
            Some(end) if end <= LONGEST => {
                batch.lines.extend_from_slice(&self.read[..=end]);
                self.pass(end + 1);
            }
            Some(end) => {
                batch.too_long += 1;
                self.pass(end + 1);
            }
            None if self.read.len() > LONGEST => {
                batch.too_long += 1;
                self.skips = true;
                self.pass(self.read.len());
            }
            None => {}
        }
    }

    /// What is left of a file that nobody writes any more: a line without an end, which whoever wrote it did not finish.
    fn rest(&mut self, batch: &mut LogBatch) {
        if !self.read.is_empty() && !self.skips {
            batch.lines.append(&mut self.read);
            batch.lines.push(b'\n');
        }
    }

    fn pass(&mut self, bytes: usize) {
        self.read.drain(..bytes);
        self.offset += bytes as u64;
    }
}

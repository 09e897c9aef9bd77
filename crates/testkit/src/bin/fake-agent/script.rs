//! Reading the script: one line is a verb and its words.
//!
//! Words are parted by blanks; double quotes hold a word together. In a word `\n \r \t \e \0 \s \\
//! \"` and `\xNN` stand for bytes.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

/// One line of the script.
pub(crate) struct Line {
    /// The line as written.
    pub(crate) text: String,
    /// Its first word.
    pub(crate) verb: String,
    /// The words after it.
    words: Vec<Vec<u8>>,
}

impl Line {
    fn parse(text: &str) -> Result<Option<Self>, String> {
        let mut words = words(text.as_bytes()).map_err(|why| format!("{why}: {text}"))?;
        if words.is_empty() || text.trim_start().starts_with('#') {
            return Ok(None);
        }
        let verb = String::from_utf8_lossy(&words.remove(0)).into_owned();
        let text = text.to_owned();
        Ok(Some(Self { text, verb, words }))
    }

    /// Returns the bytes of a word.
    pub(crate) fn bytes(&self, place: usize) -> Result<&[u8], String> {
        self.words
            .get(place)
            .map(Vec::as_slice)
            .ok_or_else(|| format!("word {} is missing", place + 1))
    }

    /// Returns a word as text.
    pub(crate) fn word(&self, place: usize) -> Result<&str, String> {
        std::str::from_utf8(self.bytes(place)?).map_err(|error| error.to_string())
    }

    /// Returns a word as a path.
    pub(crate) fn path(&self, place: usize) -> Result<PathBuf, String> {
        Ok(PathBuf::from(OsString::from_vec(
            self.bytes(place)?.to_vec(),
        )))
    }

    /// Returns the words from a place on.
    pub(crate) fn rest(&self, from: usize) -> Vec<OsString> {
        let words = self.words.iter().skip(from);
        words.map(|word| OsString::from_vec(word.clone())).collect()
    }

    /// Returns the words from a place on as one text, parted by single blanks.
    pub(crate) fn joined(&self, from: usize) -> Vec<u8> {
        self.words.get(from..).unwrap_or_default().join(&b' ')
    }
}

/// Reads all lines of all arguments.
pub(crate) fn read(arguments: &[OsString]) -> Result<Vec<Line>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for argument in arguments {
        let text = match argument.as_bytes().strip_prefix(b"@") {
            Some(path) => fs::read_to_string(PathBuf::from(OsString::from_vec(path.to_vec())))?,
            None => argument.to_string_lossy().into_owned(),
        };
        for line in text.lines() {
            lines.extend(Line::parse(line)?);
        }
    }
    Ok(lines)
}

/// Returns the script that lies beside this program, if it was installed under another name.
pub(crate) fn beside_the_program() -> Result<Option<OsString>, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    match fs::read(program.with_extension("script")) {
        Ok(text) => Ok(Some(OsString::from_vec(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut rest = line.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b' ' | b'\t' if !quoted => words.extend(word.take()),
            b'\\' => {
                let byte = escaped(&mut rest)?;
                word.get_or_insert_default().push(byte);
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    if quoted {
        return Err("a quote is open");
    }
    Ok(words)
}

fn escaped(rest: &mut impl Iterator<Item = u8>) -> Result<u8, &'static str> {
    match rest.next() {
        Some(b'n') => Ok(b'\n'),
        Some(b'r') => Ok(b'\r'),
        Some(b't') => Ok(b'\t'),
        Some(b'e') => Ok(0x1b),
        Some(b'0') => Ok(0),
        Some(b's') => Ok(b' '),
        Some(b'x') => {
            let digits = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
            hex(&digits).map(|bytes| bytes[0])
        }
        Some(byte @ (b'\\' | b'"')) => Ok(byte),
        _ => Err("an escape is unknown"),
    }
}

/// Reads bytes written as pairs of hexadecimal digits.
pub(crate) fn hex(digits: &[u8]) -> Result<Vec<u8>, &'static str> {
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| {
            let text = std::str::from_utf8(pair).map_err(|_| "not hexadecimal")?;
            u8::from_str_radix(text, 16).map_err(|_| "not hexadecimal")
        })
        .collect()
}

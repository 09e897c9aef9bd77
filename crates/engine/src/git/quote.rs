//! Names quoted the way C quotes them, which git reads on its standard input.

/// Returns the name in double quotes, with everything that is not plain ASCII as an escape.
pub(crate) fn quoted(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    out.push('"');
    for &byte in name {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.extend(
                [
                    b'\\',
                    b'0' + (byte >> 6),
                    b'0' + (byte >> 3 & 7),
                    b'0' + (byte & 7),
                ]
                .map(char::from),
            ),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_become_one_printable_line() {
        assert_eq!(quoted(b"a \"b\\\n\xff\x01"), r#""a \"b\\\012\377\001""#);
    }
}

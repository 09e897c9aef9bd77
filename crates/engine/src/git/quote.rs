//! Names quoted the way C quotes them, which git reads on its standard input.

/// Appends the name in double quotes, with everything that is not plain ASCII as an escape.
pub(crate) fn push_quoted(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'"');
    for &byte in name {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => out.extend([
                b'\\',
                b'0' + (byte >> 6),
                b'0' + (byte >> 3 & 7),
                b'0' + (byte & 7),
            ]),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_become_one_printable_line() {
        let mut out = Vec::new();
        push_quoted(&mut out, b"a \"b\\\n\xff\x01");
        assert_eq!(out, br#""a \"b\\\012\377\001""#);
    }
}

//! Identifiers: newtypes over random UUIDs, so that eight characters tell sessions apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes the id of this UUID.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the first eight characters, for people.
            pub fn short(&self) -> String {
                let mut text = self.to_string();
                text.truncate(8);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId)
            }
        }
    };
}

uuid_id!(
    /// Names one session.
    SessionId
);
uuid_id!(
    /// Names one run.
    RunId
);
uuid_id!(
    /// Names one lease.
    LeaseId
);
uuid_id!(
    /// Names one changeset.
    ChangesetId
);
uuid_id!(
    /// Names one project.
    ProjectId
);

/// The text is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct InvalidId;

/// The first characters of an id as a person types them: lower-case hexadecimal digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// Reads a prefix; `None` when the text cannot begin any id.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let fits = (1..=36).contains(&text.len())
            && text.bytes().enumerate().all(|(place, byte)| {
                if matches!(place, 8 | 13 | 18 | 23) {
                    byte == b'-'
                } else {
                    byte.is_ascii_hexdigit()
                }
            });
        fits.then_some(Self(text))
    }

    /// Returns the prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_prefix_of_an_id_is_a_prefix(bits: u128, length in 1_usize..=36) {
            let id = SessionId::new(Uuid::from_u128(bits)).to_string();
            let prefix = IdPrefix::parse(&id[..length]).unwrap();
            prop_assert!(id.starts_with(prefix.as_str()));
        }

        #[test]
        fn no_text_breaks_the_parser(text in ".*") {
            if let Some(prefix) = IdPrefix::parse(&text) {
                prop_assert!(prefix.as_str().len() <= 36);
            }
        }
    }

    #[test]
    fn what_cannot_begin_an_id_is_no_prefix() {
        for text in ["", "../x", "g", "0123456789", "a b", "%", "'; drop"] {
            assert_eq!(IdPrefix::parse(text), None, "{text}");
        }
    }
}

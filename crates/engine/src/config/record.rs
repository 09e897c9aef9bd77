//! The section `record`, which may be one word: `record: always`.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Default)]
pub(super) struct RecordSection {
    pub(super) mode: Option<String>,
    pub(super) max_size: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    mode: Option<String>,
    max_size: Option<String>,
}

impl<'de> Deserialize<'de> for RecordSection {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WordOrKeys)
    }
}

struct WordOrKeys;

impl<'de> Visitor<'de> for WordOrKeys {
    type Value = RecordSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`always`, `never`, or keys")
    }

    fn visit_str<E>(self, word: &str) -> Result<RecordSection, E> {
        Ok(RecordSection {
            mode: Some(word.to_owned()),
            max_size: None,
        })
    }

    fn visit_unit<E>(self) -> Result<RecordSection, E> {
        Ok(RecordSection::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RecordSection, A::Error> {
        let Keys { mode, max_size } = Keys::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RecordSection { mode, max_size })
    }
}

//! Which untracked files look like credentials, by name alone.
//!
//! Such files are named in a snapshot and their content is left out: what is written into a
//! repository's object store can be pushed.

const EXACT: [&str; 26] = [
    ".aws-credentials",
    ".boto",
    ".dockercfg",
    ".env",
    ".envrc",
    ".git-credentials",
    ".htpasswd",
    ".my.cnf",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".s3cfg",
    ".vault-token",
    "_netrc",
    "application_default_credentials.json",
    "auth.json",
    "client_secret.json",
    "credentials",
    "credentials.json",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "kubeconfig",
    "secrets.json",
];

const SUFFIXES: [&str; 13] = [
    ".agekey",
    ".asc",
    ".credentials",
    ".gpg",
    ".jks",
    ".kdbx",
    ".key",
    ".keystore",
    ".p12",
    ".pem",
    ".pfx",
    ".ppk",
    ".tfvars",
];

/// Endings that mark an example without secrets.
const EXAMPLES: [&str; 5] = [".dist", ".example", ".sample", ".template", ".tmpl"];

/// Returns whether a file of this name (the last component of its path) looks like a credential.
pub fn looks_like_credential(file_name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(file_name).to_ascii_lowercase();
    if EXAMPLES.iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    EXACT.binary_search(&name.as_str()).is_ok()
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || name.starts_with(".env.")
        || name.starts_with("service-account")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(EXACT.is_sorted());
    }

    #[test]
    fn credentials_are_known_by_name() {
        for name in [
            ".env",
            ".env.local",
            "ID_RSA",
            "server.pem",
            "Service-Account-7.json",
        ] {
            assert!(looks_like_credential(name.as_bytes()), "{name}");
        }
        for name in [
            "env.rs",
            ".env.example",
            "keys.rs",
            "credentials.rs",
            "\u{e9}.txt",
        ] {
            assert!(!looks_like_credential(name.as_bytes()), "{name}");
        }
        assert!(
            looks_like_credential(b"\xff.pem"),
            "a name need not be UTF-8"
        );
    }
}

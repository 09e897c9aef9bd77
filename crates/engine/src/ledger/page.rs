//! The query behind a page of sessions: each filter is one condition with its values.

use amps_core::path::RawPath;
use rusqlite::types::Value;

use super::PageQuery;

/// Returns the query and its values. Its columns: session, run, files, additions, deletions, kind. A
/// worktree session has no run of its own, and the changes of all that are.
pub(super) fn sql(query: &PageQuery) -> (String, Vec<Value>) {
    let (conditions, mut values) = conditions(query);
    let order = if query.by_impact {
        "impact DESC, created_ms DESC"
    } else {
        "created_ms DESC, session.rowid DESC"
    };
    let limit = if query.limit == 0 {
        -1
    } else {
        i64::from(query.limit)
    };
    values.push(limit.into());
    let sum = |column: &str| {
        format!(
            "(SELECT coalesce(sum({column}), 0) FROM changeset
              WHERE changeset.session_id = page.session_id)"
        )
    };
    let sql = format!(
        "SELECT page.record, run.record, {}, {}, {}, page.kind
         FROM (SELECT session_id, record, kind, row_number() OVER () AS place FROM
                  (SELECT session_id, record, kind FROM session
                   WHERE {} ORDER BY {order} LIMIT ?)) AS page
         LEFT JOIN run ON run.session_id = page.session_id
         ORDER BY place",
        sum("files"),
        sum("additions"),
        sum("deletions"),
        conditions.join(" AND "),
    );
    (sql, values)
}

fn conditions(query: &PageQuery) -> (Vec<String>, Vec<Value>) {
    let mut conditions = vec!["worktree_session_id IS NULL".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    if !query.status.is_empty() {
        conditions.push(format!("status IN ({})", places(query.status.len())));
        values.extend(
            query
                .status
                .iter()
                .map(|status| Value::from(status.name().to_owned())),
        );
    }
    if let Some(agent) = &query.agent {
        conditions.push("agent = ?".to_owned());
        values.push(agent.clone().into());
    }
    if let Some(project) = &query.project {
        // The whole path, the beginning of the id, or the end of the path. No pattern: in a name
        // `_` and `%` are letters like others.
        let root = project.trim_end_matches('/').as_bytes();
        let id = project.to_ascii_lowercase();
        let ending = [b"/", root].concat();
        conditions.push(
            "(project_root = ? OR substr(project_id, 1, length(?)) = ?
              OR substr(project_root, -length(?)) = ?)"
                .to_owned(),
        );
        values.push(Value::Blob(root.to_vec()));
        values.extend([Value::from(id.clone()), id.into()]);
        values.extend([Value::Blob(ending.clone()), Value::Blob(ending)]);
    }
    if let Some(within) = &query.within {
        let roots = enclosing(within);
        conditions.push(format!("project_root IN ({})", places(roots.len())));
        values.extend(roots.into_iter().map(Value::Blob));
    }
    if let Some(tag) = &query.tag {
        conditions.push("session_id IN (SELECT session_id FROM tag WHERE tag = ?)".to_owned());
        values.push(tag.clone().into());
    }
    if let Some(since) = query.since {
        conditions.push("created_ms >= ?".to_owned());
        values.push(since.as_millisecond().into());
    }
    if query.by_impact {
        conditions.push("impact > 0".to_owned());
    }
    (conditions, values)
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Returns the path and every folder above it.
pub(super) fn enclosing(path: &RawPath) -> Vec<Vec<u8>> {
    let bytes = path.as_bytes();
    let mut found = vec![bytes.to_vec()];
    for (place, byte) in bytes.iter().enumerate().rev() {
        if *byte == b'/' {
            found.push(bytes.get(..place.max(1)).unwrap_or_default().to_vec());
        }
    }
    found
}

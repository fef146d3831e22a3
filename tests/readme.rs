//! The tables that README and the documentation share say the same: those in `docs/` are their source.

use std::fs;
use std::path::Path;

/// The text of a cell, with `text` instead of `[text](target)`.
fn without_links(cell: &str) -> String {
    let (mut text, mut rest) = (String::new(), cell.trim());
    while let Some((before, link)) = rest.split_once('[') {
        let (name, behind) = link.split_once("](").expect("a link has a target");
        text += before;
        text += name;
        rest = behind.split_once(')').expect("a target ends").1;
    }
    text + rest
}

/// The tables of a file, each as its rows of cells; the line below a head is left out.
fn tables(file: &str) -> Vec<Vec<Vec<String>>> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
    let mut tables = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|')) else {
            is_inside = false;
            continue;
        };
        if !is_inside {
            tables.push(Vec::new());
            is_inside = true;
        }
        if !row.trim_start_matches([' ', ':']).starts_with('-') {
            tables.last_mut().expect("a table has begun").push(row.split('|').map(without_links).collect());
        }
    }
    tables
}

#[test]
fn readme_has_the_tables_of_the_documentation() {
    let readme = tables("README.md");
    for source in ["docs/dispatches.md", "docs/features.md", "docs/flavours.md", "docs/limits.md"] {
        let tables = tables(source);
        assert!(!tables.is_empty(), "{source} has no table");
        for table in tables {
            let same_head = readme.iter().find(|other| other[0] == table[0]);
            let copy =
                same_head.unwrap_or_else(|| panic!("README has no table with the head {:?} of {source}", table[0]));
            for (row, copied) in table.iter().zip(copy) {
                assert_eq!(copied, row, "a row of README (left) is not that of {source} (right)");
            }
            assert_eq!(copy.len(), table.len(), "README and {source} have other numbers of rows");
        }
    }
}

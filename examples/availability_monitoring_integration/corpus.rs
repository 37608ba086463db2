//! The text files that the service works on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What is read in a folder.
const ENDINGS: [&str; 3] = ["md", "rs", "txt"];

/// This repository, when cargo runs the example; otherwise the current folder.
pub fn repository() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| ".".into(), PathBuf::from)
}

/// The files at `paths`, sorted: each file that is named, and those in each folder that are
/// Markdown, Rust or text. Without a path: this repository's.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let default = [repository()];
    let paths = if paths.is_empty() { &default } else { paths };
    let mut found = Vec::new();
    for path in paths {
        collect(&path.canonicalize().map_err(|error| unreadable(path, &error))?, &mut found)?;
    }
    if found.is_empty() {
        let paths = paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>();
        return Err(format!(
            "there is no Markdown, Rust or text file in {}; name some files or folders to work on",
            paths.join(", ")
        ));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error| unreadable(path, &error);
    if !path.is_dir() {
        // Opened, so that one which can't be read is known before anything starts.
        fs::File::open(path).map_err(unreadable)?;
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
        if kind.is_dir() && !is_left_out(&entry.file_name()) {
            collect(&path, found)?;
        } else if kind.is_file() && is_text(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("`{}` can't be read: {error}; name text files, or folders of them", path.display())
}

/// Hidden folders, and what was built.
fn is_left_out(folder: &OsStr) -> bool {
    folder == "target" || folder.as_encoded_bytes().starts_with(b".")
}

fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_text_files_and_nothing_that_was_built() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a folder");
        for file in ["b.md", "a.rs", "c.png", "src/d.txt", "target/e.rs", ".git/f.md"] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
            fs::write(path, "text").expect("a file");
        }
        let found = find(std::slice::from_ref(&root)).expect("some files");
        assert_eq!(found, ["a.rs", "b.md", "src/d.txt"].map(|file| root.join(file)));
    }

    #[test]
    fn a_path_that_does_not_exist_and_a_folder_without_texts_are_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = find(&[folder.path().join("missing")]).expect_err("nothing there");
        assert!(missing.contains("missing` can't be read"), "{missing}");
        let empty = find(&[folder.path().to_owned()]).expect_err("nothing in it");
        assert!(empty.contains("no Markdown, Rust or text file in"), "{empty}");
    }
}

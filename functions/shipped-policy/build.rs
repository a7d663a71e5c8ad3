//! Makes the JSON Schemas beside the shipped `routing.toml` a part of the functions, so that it may name
//! them.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../supervisor-router/schemas");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> = match fs::read_dir(&folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let entries = files.iter().filter_map(|file| {
        let name = format!("schemas/{}", file.file_name()?.to_str()?);
        Some(format!("    ({name:?}, include_str!({:?})),\n", file.to_str()?))
    });
    let list = format!("const SCHEMAS: &[(&str, &str)] = &[\n{}];\n", entries.collect::<String>());
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("schemas.rs"), list)
}

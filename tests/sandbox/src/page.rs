//! `--report`: a run as a page to look at, to print and to pass on.
//!
//! The page is one file without scripts that refers to nothing outside itself. Its pictures are
//! those of the dashboard in CloudWatch, from the same metrics, as far as one run has them; then
//! come the requests, one by one, and their traces. Everything that comes from events, agents and
//! files is escaped ([`markup`]). What users, models and agents wrote is not shown ([`request`]).

mod chart;
mod figures;
mod html;
mod markup;
mod overview;
mod picture;
mod request;
mod requests;
mod run;
mod span;
mod summary;
#[cfg(test)]
mod tests;
mod waterfall;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use self::request::Request;
pub(crate) use self::run::{Run, Setting};
pub(crate) use self::span::Span;

/// How charts look, in the page and in the picture.
const CHART_CSS: &str = include_str!("page/chart.css");

/// A file for a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportFile {
    path: PathBuf,
    form: Form,
}

/// What a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Everything.
    Page,
    /// The overview only.
    Picture,
}

impl ReportFile {
    /// A file in a folder that is there. Its name says what it shows.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub(crate) fn parse(path: &str) -> Result<Self, String> {
        let path = PathBuf::from(path);
        let form = match path.extension().and_then(|extension| extension.to_str()) {
            Some("html") => Form::Page,
            Some("svg") => Form::Picture,
            _ => return Err("allowed are names that end in .html or .svg".to_owned()),
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => {
                Err(format!("there is no folder {}", folder.display()))
            }
            _ => Ok(Self { path, form }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the report of a run.
    pub(crate) fn write(&self, run: &Run) -> io::Result<()> {
        let text = match self.form {
            Form::Page => html::page(run),
            Form::Picture => picture::picture(run),
        };
        std::fs::write(&self.path, text)
    }
}

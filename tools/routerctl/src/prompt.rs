//! `routerctl prompt`: the departments, for a supervisor's prompt.

use router_core::wire::tools::catalog;
use serde_json::json;

use crate::place::Source;
use crate::{Failure, Said};

/// Print the list of departments for a supervisor's prompt
///
/// A line for each specialist, with its description and its intents; the one of last resort is the
/// last. A Bedrock agent's instruction takes 4000 characters in all.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,
}

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let departments = catalog::departments(&arguments.source.policy().await?);
    let text = if json { format!("{}\n", json!({ "prompt": departments })) } else { departments };
    Ok(Said::well(text))
}

//! A function that runs elsewhere: in a container, in an emulator of AWS.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use stand_ins::{Aws, Options};

/// Where the function, the stand-ins and the table are.
#[derive(Debug, Args)]
#[command(next_help_heading = "A function that runs elsewhere (see below)")]
pub(crate) struct Elsewhere {
    /// A program that invokes the function, once for each event
    #[arg(long, value_name = "PROGRAM")]
    invoke: Option<PathBuf>,

    /// Where the stand-ins listen: agents, CloudWatch, table and SNS, on four ports from this one on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// An AWS that has the table, and that CloudWatch's stand-in passes metrics on to
    #[arg(long, value_name = "ADDRESS:PORT", requires_all = ["table", "invoke"])]
    aws: Option<SocketAddr>,

    /// The table's name there
    #[arg(long, value_name = "NAME", requires = "aws")]
    table: Option<String>,
}

impl Elsewhere {
    /// The first of the arguments that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--invoke", self.invoke.is_some()),
            ("--listen", self.listen.is_some()),
            ("--aws", self.aws.is_some()),
        ];
        given.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    /// Puts everything where it belongs.
    pub(crate) fn apply(self, options: &mut Options) {
        options.invoker = self.invoke;
        options.listen = self.listen.unwrap_or(options.listen);
        let aws = self.aws.zip(self.table);
        options.aws = aws.map(|(address, table)| Aws { address, table });
    }
}

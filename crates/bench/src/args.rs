//! The arguments of a person who runs the benchmarks.

use std::path::PathBuf;

use clap::Parser;

/// Measures amps beside its yardsticks and prints Markdown tables.
///
/// Without --amps only the yardsticks are measured. The yardsticks themselves are the subcommands
/// plain-launcher, plain-relay, plain-daemon, stage and agent of this binary.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// The amps program to measure.
    #[arg(long, value_name = "PATH")]
    pub(crate) amps: Option<PathBuf>,
    /// Only these measures, such as P1,P7.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub(crate) only: Vec<String>,
    /// Rounds of each comparison, instead of each measure's own number.
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<usize>,
    /// Fewer rounds and less data: shows that everything works, proves little.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Also write all figures and samples as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Where the generated repositories are kept; by default beside the build.
    #[arg(long, value_name = "DIR")]
    pub(crate) fixtures: Option<PathBuf>,
}

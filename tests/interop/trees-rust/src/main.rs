//! Reads one JSON question per line (`kind` presence or absence, `root`, `key`, `value`, `proof` as hex) and answers each
//! with {"accepted": true or false}, as judged by the crate `ics23` with its SmtSpec.

use ics23::{smt_spec, verify_membership, verify_non_membership, CommitmentProof, HostFunctionsManager};
use prost::Message;
use std::io::{self, BufRead, Write};

fn member(question: &serde_json::Value, name: &str) -> Vec<u8> {
    hex::decode(question[name].as_str().expect("a member is missing")).expect("not hex")
}

fn accepted(question: &serde_json::Value) -> bool {
    let Ok(proof) = CommitmentProof::decode(member(question, "proof").as_slice()) else {
        return false;
    };
    let (spec, root, key) = (smt_spec(), member(question, "root"), member(question, "key"));
    match question["kind"].as_str() {
        Some("presence") => {
            let value = member(question, "value");
            verify_membership::<HostFunctionsManager>(&proof, &spec, &root, &key, &value)
        }
        Some("absence") => verify_non_membership::<HostFunctionsManager>(&proof, &spec, &root, &key),
        other => panic!("unknown kind {other:?}"),
    }
}

fn main() -> io::Result<()> {
    let mut answers = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let question = serde_json::from_str(&line?).expect("not JSON");
        writeln!(answers, "{}", serde_json::json!({ "accepted": accepted(&question) }))?;
    }
    answers.flush()
}

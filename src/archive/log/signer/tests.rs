use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::runtime::note_signer::is_signed;

const ORIGIN: &str = "daypass.dev/archive/u";

#[test]
fn an_archive_makes_its_own_key_once_and_shows_it_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("archive.db");
    let verifier = |source| {
        let signer = LogSigner::open(source, ORIGIN, Some(&database)).unwrap().unwrap();
        signer.verifier(ORIGIN).unwrap().to_string()
    };
    let made = verifier(SignerSource::Own);
    assert!(made.starts_with("daypass.dev/archive/u+"), "{made}");
    assert_eq!(verifier(SignerSource::Own), made, "another key after a restart");
    let file = folder.path().join("archive.db.log-key");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(verifier(SignerSource::File(file.clone())), made);
    std::fs::write(&file, "no key").unwrap();
    let fault = LogSigner::open(SignerSource::Own, ORIGIN, Some(&database)).err().unwrap();
    assert!(matches!(fault, SigningFault::Key(SignerFault::Form)), "{fault}");
    assert!(LogSigner::open(SignerSource::Own, ORIGIN, None).unwrap().is_none(), "a key without a place");
}

/// A program that signs with a key of OpenSSL, as one does that asks a KMS.
#[tokio::test]
async fn a_program_signs_what_it_reads_and_what_it_says_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let openssl = |args: &[&str]| {
        assert!(std::process::Command::new("openssl").args(args).status().unwrap().success(), "{args:?}");
    };
    let (key, public) = (at("key.pem"), at("public.der"));
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &key]);
    openssl(&["pkey", "-in", &key, "-pubout", "-outform", "DER", "-out", &public]);
    let public: [u8; 32] = std::fs::read(public).unwrap()[12..].try_into().unwrap();
    let script = r#"cat > "$0.in" && openssl pkeyutl -sign -inkey "$0" -rawin -in "$0.in" | base64 -w 0"#;
    let sign = async |script: &str, public: [u8; 32]| {
        let command = ["sh", "-c", script, &key].map(str::to_owned).to_vec();
        LogSigner::Command(command, public).sign(b"a checkpoint\n").await
    };
    let signature = sign(script, public).await.unwrap();
    assert!(is_signed(&public, b"a checkpoint\n", &signature));
    for (script, public) in [
        (script, [7; 32]),
        ("echo no signature", public),
        ("exit 3", public),
        ("cat > /dev/null; base64 -w 0 /dev/null", public),
    ] {
        let fault = sign(script, public).await.unwrap_err();
        assert!(matches!(&fault, SigningFault::Command(name, _) if name == "sh"), "{script}: {fault}");
    }
    let nothing = LogSigner::Command(vec!["/nowhere".to_owned()], public).sign(b"x").await.unwrap_err();
    assert!(matches!(nothing, SigningFault::Command(..)), "{nothing}");
    let key = LogSigner::Command(vec!["sign".to_owned()], public).verifier(ORIGIN).unwrap();
    assert_eq!(key.name(), ORIGIN);
}

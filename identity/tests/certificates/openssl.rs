//! What openssl thinks of it all: another reader, and a stricter one. Skipped, and
//! said so, on a machine that does not have the program.

use crate::support::{
    Authority, CN, DC, ID, Mesh, O, Request, anchors, armour, bundle, load, name, noon, now, p256,
    p384, rsa, scope,
};
use ferrule_identity::{CertificateRequest, Issuer, Leaf, SigningKey, TrustAnchors};
use std::{
    path::Path,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

fn openssl(arguments: &[&str]) -> Option<Output> {
    match Command::new("openssl").args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: no openssl on this machine ({error})");
            None
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn leaf_pem(leaf: &Leaf) -> String {
    armour("CERTIFICATE", &leaf.der)
}

/// Is `leaf` a server's and a client's certificate, by all rules there are?
fn verify(case: &str, mesh: &Mesh, leaf: &Leaf) {
    let folder = tempfile::tempdir().unwrap();
    let roots = write(folder.path(), "roots", mesh.anchors.pem());
    let parents: String = mesh
        .issuer
        .response_chain()
        .iter()
        .map(|of| armour("CERTIFICATE", of.der()))
        .collect();
    let parents = write(folder.path(), "parents", parents);
    let leaf = write(folder.path(), "leaf", leaf_pem(leaf));
    let time = noon().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for purpose in ["sslserver", "sslclient"] {
        let Some(output) = openssl(&[
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-verify_hostname",
            ID,
            "-attime",
            &time.to_string(),
            "-CAfile",
            &roots,
            "-untrusted",
            &parents,
            &leaf,
        ]) else {
            return;
        };
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{case}, {purpose}: {said}");
    }
}

#[test]
fn openssl_verifies_leaves() {
    let dn = name(&[
        (DC, "com"),
        (O, "x"),
        (DC, "corp"),
        (O, "y"),
        (CN, "issuer"),
    ]);
    let mut meshes = vec![
        ("P-256", Mesh::new()),
        ("the root itself", Mesh::of(Authority::root("alone"), &[])),
    ];
    for (case, root, issuer) in [
        ("P-384 issuer", p256(), p384()),
        ("RSA root", rsa(), p256()),
    ] {
        let root = Authority::root_with("root", root, |_| {});
        let issuer = root.sign_with("issuer", issuer, |_| {});
        meshes.push((case, Mesh::of(root, &[&issuer])));
    }
    let root = Authority::root("root");
    let middle = root.sign("middle");
    let issuer = middle.sign("issuer");
    meshes.push(("intermediate", Mesh::of(root, &[&issuer, &middle])));
    let root_name = name(&[(DC, "com"), (DC, "corp")]);
    let root = Authority::root("root").renamed(&root_name, None, &root_name);
    let issuer = root.sign("issuer").renamed(&dn, Some(&root), &root_name);
    meshes.push(("repeated attributes", Mesh::of(root, &[&issuer])));

    for (case, mesh) in &meshes {
        verify(case, mesh, &mesh.certify(&Request::bootstrap(ID), ID));
        let nameless = Request {
            subject: name(&[]),
            ..Request::bootstrap(ID)
        };
        verify(case, mesh, &mesh.certify(&nameless, ID));
        let organised = Request {
            subject: name(&[(O, "x"), (CN, ID), (O, "y")]),
            ..Request::bootstrap(ID)
        };
        verify(case, mesh, &mesh.certify(&organised, ID));
    }
}

#[test]
fn openssl_reads_what_we_mean() {
    let mesh = Mesh::new();
    let id = format!(
        "{}.emojivoto.serviceaccount.identity.linkerd.cluster.local",
        "w".repeat(63)
    );
    let leaf = mesh.certify(&Request::bootstrap(&id), &id);
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "leaf", leaf_pem(&leaf));
    let Some(output) = openssl(&["x509", "-in", &path, "-noout", "-text", "-nameopt", "utf8"])
    else {
        return;
    };
    let said = text(&output.stdout);
    for part in [
        "Version: 3 (0x2)",
        "Signature Algorithm: ecdsa-with-SHA256",
        "Not Before: Jun  1 11:59:40 2026 GMT",
        "Not After : Jun  2 12:00:20 2026 GMT",
        "NIST CURVE: P-256",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment\n",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "X509v3 Authority Key Identifier: \n",
        &format!("DNS:{id}\n"),
    ] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    assert!(!said.contains("Basic Constraints"), "{said}");
    assert!(!said.contains("Subject Key Identifier"), "{said}");
}

#[test]
fn what_openssl_makes_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = |arguments: &[&str]| {
        openssl(arguments).map(|output| {
            assert!(output.status.success(), "{}", text(&output.stderr));
        })
    };
    let (sec1, pkcs8, csr) = (path("sec1"), path("pkcs8"), path("csr"));
    for curve in ["prime256v1", "secp384r1"] {
        // With EC PARAMETERS before the key.
        if made(&["ecparam", "-name", curve, "-genkey", "-out", &sec1]).is_none() {
            return;
        }
        let pem = std::fs::read(&sec1).unwrap();
        assert!(text(&pem).starts_with("-----BEGIN EC PARAMETERS-----"));
        let key = SigningKey::from_pem(&pem).unwrap();
        made(&["pkcs8", "-topk8", "-nocrypt", "-in", &sec1, "-out", &pkcs8]);
        let same = SigningKey::from_pem(&std::fs::read(&pkcs8).unwrap()).unwrap();
        assert_eq!(key.public_key(), same.public_key());
    }
    made(&["ecparam", "-name", "prime256v1", "-genkey", "-out", &sec1]);
    made(&[
        "req",
        "-new",
        "-key",
        &sec1,
        "-subj",
        &format!("/CN={ID}"),
        "-addext",
        &format!("subjectAltName=DNS:{ID}"),
        "-outform",
        "DER",
        "-out",
        &csr,
    ]);
    let request = CertificateRequest::parse(&std::fs::read(&csr).unwrap()).unwrap();
    request.verify_possession().unwrap();
    request.check(ID).unwrap();
}

/// As people make them by hand: with openssl's defaults.
#[test]
fn an_issuer_made_with_openssl_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (path("key"), path("certificate"));
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "365",
        "-subj",
        "/DC=com/DC=corp/CN=identity.linkerd.cluster.local",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    let Some(output) = openssl(&arguments) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output.stderr));
    let certificate = std::fs::read(&certificate).unwrap();
    let anchors = TrustAnchors::from_pem(&certificate).unwrap();
    let key = std::fs::read(&key).unwrap();
    let now = SystemTime::now();
    let issuer = Issuer::load(&certificate, &key, &anchors, &scope(), now).unwrap();
    assert_eq!(issuer.warnings(), []);
}

/// SHA-1 and RSA-PSS, which only openssl makes here.
#[test]
fn signatures_that_no_proxy_accepts_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let root = Authority::root_with("root", rsa(), |_| {});
    let issuer = Authority::root("issuer");
    let (ca, ca_key) = (
        write(folder.path(), "ca", root.pem()),
        write(folder.path(), "ca.key", root.key_pem()),
    );
    let (own, own_key, signed) = (
        write(folder.path(), "own", issuer.pem()),
        write(folder.path(), "own.key", issuer.key_pem()),
        path("signed"),
    );
    let extensions = write(
        folder.path(),
        "extensions",
        "basicConstraints=critical,CA:true",
    );
    let sign = |options: &[&str]| {
        let csr = path("csr");
        let request = [
            "x509",
            "-x509toreq",
            "-in",
            &own,
            "-signkey",
            &own_key,
            "-out",
            &csr,
        ];
        openssl(&request)?;
        let arguments = [
            &[
                "x509",
                "-req",
                "-in",
                &csr,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-CAcreateserial",
            ],
            &["-days", "365", "-extfile", &extensions, "-out", &signed][..],
            options,
        ]
        .concat();
        let output = openssl(&arguments)?;
        assert!(output.status.success(), "{}", text(&output.stderr));
        let result = Issuer::load(
            &std::fs::read(&signed).unwrap(),
            issuer.key_pem().as_bytes(),
            &anchors(&[&root]),
            &scope(),
            SystemTime::now(),
        );
        Some(result)
    };
    for (options, algorithm) in [
        (&["-sha1"][..], "1.2.840.113549.1.1.5"),
        (
            &["-sha256", "-sigopt", "rsa_padding_mode:pss"],
            "1.2.840.113549.1.1.10",
        ),
    ] {
        let Some(result) = sign(options) else {
            return;
        };
        let said = result.unwrap_err().to_string();
        assert!(said.contains(algorithm), "{said}");
        assert!(said.contains("with a key of RSA 2048"), "{said}");
    }
    assert!(sign(&["-sha512"]).unwrap().is_ok());
}

/// The support of these tests makes certificates too; openssl takes them as well.
#[test]
fn our_authorities_are_sound() {
    let root = Authority::root("root");
    let issuer = root.sign("issuer");
    assert!(load(&[&issuer], &[&root]).is_ok());
    let folder = tempfile::tempdir().unwrap();
    let roots = write(folder.path(), "roots", bundle(&[&root]));
    let issuer = write(folder.path(), "issuer", issuer.pem());
    let time = now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .to_string();
    let arguments = ["verify", "-attime", &time, "-CAfile", &roots, &issuer];
    if let Some(output) = openssl(&arguments) {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

import { ClavisError, grouped, quoted } from "../errors.ts";

// One function per message of this area, so that wording can be reviewed together.

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

const several = (names: readonly string[], most = 12) =>
  names.slice(0, most).map(quoted).join(", ") +
  (names.length > most ? `, and ${grouped(names.length - most)} more` : "");

const notTheSigner = "Do not use the model; get it and its signature again from whom you trust.";

// ---- the signature file

export const signatureMissing = (model: string, places: readonly string[]) =>
  new ClavisError("protect.unsigned", {
    found: `no signature for ${quoted(model)}`,
    expected: `one at ${places.map(quoted).join(" or ")}`,
    next: "Get the signature from whoever made the model (`clavis pull` brings one that its repository has), or sign it yourself with clavis sign.",
  });

export const signatureTooLarge = (name: string, mostBytes: number) =>
  new ClavisError("protect.bundle_size", {
    found: `${quoted(name)} has more than ${grouped(mostBytes)} bytes`,
    expected: "at most that in a signature",
    next: "Check that it is the signature and not the model.",
  });

export const invalidJson = (what: string, reason: string, cause?: unknown) =>
  new ClavisError("protect.json", {
    found: `${what} is no JSON that can be used: ${reason}`,
    expected: "one JSON value in UTF-8",
    next: "The signature is damaged; get it again.",
    cause,
  });

export const jsonTooLarge = (what: string, found: string, most: string) =>
  new ClavisError("protect.json_size", {
    found: `${what} has ${found}`,
    expected: most,
    next: "No real signature needs as much; the file is damaged or hostile.",
  });

export const invalidField = (what: string, path: string, found: string, expected: string) =>
  new ClavisError("protect.bundle", {
    found: `${path === "" ? what : `${quoted(path)} in ${what}`} is ${found}`,
    expected,
    next: "The signature is damaged or in another format (Clavis reads OpenSSF Model Signing v1.0).",
  });

export const unknownField = (what: string, path: string) =>
  new ClavisError("protect.bundle_field", {
    found: `a field ${quoted(path)} in ${what}`,
    expected: "only the fields of OpenSSF Model Signing v1.0",
    next: "The signature is damaged or in another format.",
  });

export const invalidBase64 = (path: string, reason: string) =>
  new ClavisError("protect.base64", {
    found: `${quoted(path)} in the bundle is not base64: ${reason}`,
    expected: "standard base64 with padding, without line breaks",
    next: "The signature is damaged; get it again.",
  });

// ---- the statement

export const wrongPredicate = (found: string, expected: string) =>
  new ClavisError("protect.predicate", {
    found: `a statement of type ${quoted(found)}`,
    expected: quoted(expected),
    next: "It signs something else than a model; get the model's signature.",
  });

export const wrongRoot = (found: string, expected: string) =>
  new ClavisError("protect.root_digest", {
    found: `the statement's files hash to ${found}`,
    expected: `${expected}, the digest of its subject`,
    next: "The signed statement contradicts itself; ask whoever signed it.",
  });

export const unsupportedHash = (name: string) =>
  new ClavisError("protect.hash_type", {
    found: `the files are hashed with ${quoted(name)}`,
    expected: '"sha256" or "blake2b"',
    next: "Ask for a signature over SHA-256.",
  });

// ---- keys and certificates

export const keyUnreadable = (name: string, cause: unknown) =>
  new ClavisError("protect.key_read", {
    found: `${quoted(name)} cannot be read: ${reasonOf(cause)}`,
    expected: "a PEM file",
    next: "Check the path and its permissions.",
    cause,
  });

export const invalidKey = (name: string, found: string, expected: string, cause?: unknown) =>
  new ClavisError("protect.key", {
    found: `${quoted(name)} holds ${found}`,
    expected,
    next: "clavis keygen makes a pair of keys.",
    cause,
  });

export const otherKey = (found: string, known: readonly string[]) =>
  new ClavisError("protect.key_mismatch", {
    found: `the signature names key ${quoted(found)}`,
    expected: `${known[0]}${known.length > 1 ? ` or another of the ${known.length} keys given` : ", the key given"}`,
    next: "Check with the key of whoever signed the model.",
  });

export const otherMethod = (found: string, expected: string, next: string) =>
  new ClavisError("protect.method", {
    found: `a signature made with ${found}`,
    expected,
    next,
  });

export const wrongSignature = () =>
  new ClavisError("protect.signature", {
    found: "a signature that does not fit the statement",
    expected: "one made by the owner of the key",
    next: notTheSigner,
  });

export const invalidCertificate = (name: string, reason: string, cause?: unknown) =>
  new ClavisError("protect.certificate", {
    found: `certificate ${quoted(name)} ${reason}`,
    expected: "a chain of valid certificates up to one that was given",
    next: "Check which authority issued the signer's certificate, and name it with --ca.",
    cause,
  });

// ---- the model

export const modelUnreadable = (path: string, cause: unknown) =>
  new ClavisError("protect.read", {
    found: `${quoted(path)} cannot be read: ${reasonOf(cause)}`,
    expected: "a readable file or folder",
    next: "Check the path and its permissions.",
    cause,
  });

export const fileLinked = (name: string) =>
  new ClavisError("protect.link", {
    found: `${quoted(name)} is a symbolic link`,
    expected: "regular files only, as the signature says",
    next: "Replace the link by the file that it points to; a downloaded model is verified by its name.",
  });

export const fileSpecial = (name: string) =>
  new ClavisError("protect.not_a_file", {
    found: `${quoted(name)} is neither a file nor a folder`,
    expected: "regular files and folders only",
    next: "Remove it from the model's folder.",
  });

export const fileAdded = (name: string) =>
  new ClavisError("protect.file_added", {
    found: `${quoted(name)}, which is not signed`,
    expected: "only files that the signature names",
    next: `Remove the file, or sign the model again if it belongs there.`,
  });

export const filesRemoved = (names: readonly string[], all: number) =>
  new ClavisError("protect.file_missing", {
    found:
      names.length === 1
        ? `no ${quoted(names[0])} in the model`
        : `${grouped(names.length)} of ${grouped(all)} signed files missing: ${several(names)}`,
    expected: "every file that the signature names",
    next: "The model is incomplete: get the rest, or name one of its files to verify that alone.",
  });

export const fileChanged = (name: string, found: string, expected: string) =>
  new ClavisError("protect.file_changed", {
    found: `${quoted(name)} has digest ${found}`,
    expected: `${expected}, as signed`,
    next: notTheSigner,
  });

export const fileChanging = (name: string) =>
  new ClavisError("protect.file_changing", {
    found: `${quoted(name)} changed while it was being read`,
    expected: "the bytes that were verified",
    next: "Something is writing to the file; wait until that is done and load it again.",
  });

export const fileNotCovered = (name: string, signature: string) =>
  new ClavisError("protect.file_added", {
    found: `${quoted(name)}, which ${quoted(signature)} does not name`,
    expected: "a file that the signature names",
    next: "Sign the model again if the file belongs to it.",
  });

export const signsOneFile = (model: string, subject: string) =>
  new ClavisError("protect.single_file", {
    found: `the signature is of one file, ${quoted(subject)}, and ${quoted(model)} is a folder`,
    expected: "a folder that holds this file alone, or the file itself",
    next: "Name the file instead of the folder.",
  });

export const nothingToSign = (path: string) =>
  new ClavisError("protect.empty", {
    found: `no file to sign in ${quoted(path)}`,
    expected: "at least one",
    next: "Check the path.",
  });

// ---- writing

export const notASignature = (path: string, cause: unknown) =>
  new ClavisError("protect.overwrite", {
    found: `${quoted(path)}, which is no signature`,
    expected: "a new path, or an earlier signature",
    next: "Name another path with --out.",
    cause,
  });

export const keyExists = (path: string) =>
  new ClavisError("protect.key_exists", {
    found: `a file at ${quoted(path)} already`,
    expected: "a new path: a key that is overwritten is lost",
    next: "Name another path with --out.",
  });

export const unwritable = (path: string, cause: unknown) =>
  new ClavisError("protect.write", {
    found: `${quoted(path)} cannot be written: ${reasonOf(cause)}`,
    expected: "a path in a folder that can be written to",
    next: "Check the path and its permissions.",
    cause,
  });

// ---- policy

export const policyUnreadable = (path: string, cause: unknown) =>
  new ClavisError("protect.policy_read", {
    found: `the policy ${quoted(path)} cannot be read: ${reasonOf(cause)}`,
    expected: "a file that can be read",
    next: "Check --policy, CLAVIS_POLICY and the file's permissions; without its policy nothing is loaded.",
    cause,
  });

export const invalidPolicy = (path: string, { found, expected }: ClavisError) =>
  new ClavisError("protect.policy", {
    found: `${found} (${quoted(path)})`,
    expected,
    next: "Correct the policy; docs/signing.md describes it.",
  });

export const notAFile = (name: string) =>
  new ClavisError("protect.unsigned", {
    found: `${quoted(name)} is no file on disk, so that no signature lies beside it`,
    expected: "a signed file, as the policy requires",
    next: "Save the model with its signature and load it by its path.",
  });

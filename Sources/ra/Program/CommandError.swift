// Mistakes that only the commands can make.

import Generation
import RetrievalAttention

enum CommandError: Error, CustomStringConvertible {
  /// A session that a document was being read into.
  case interruptedIngest(name: String, done: Int, pending: Int)
  case sessionExists(name: String, pending: Int)
  /// Made, and then interrupted before it was known what was to be read.
  case emptySession(name: String)
  /// Nothing was read or said in it.
  case nothingToAsk(name: String)
  case otherDocuments(name: String, tokens: Int)
  case modelGone(path: String, name: String)
  case noModel(name: String)
  case noQuestion
  /// Neither documents nor a session to ask about.
  case noDocuments
  /// A word in front of the question that names nothing.
  case noSuchDocument(String)
  /// Documents for a session that has its own.
  case documentsOfSession(String)
  /// A document of which a session does not know where it came from.
  case unknownSource(String)
  /// A conversation about documents, and one that is kept.
  case chatWithBoth(String)
  /// No model was named, and none is there.
  case noModelFound(folders: [String])
  case severalModels([String])
  /// A model that has a name, and is not here.
  case notPulled(name: String)
  case needsMemory(AttentionError)
  case contextFull(tokens: Int, limit: Int, isOfMemory: Bool)
  case noTerminal(sessions: [String])
  case nothingToSave
  /// Options of a chat template that is not there.
  case noChatTemplate
  /// What the model is told before everything, when something was read already.
  case systemTooLate(name: String)
  case notSavedByHost
  case unwritable(path: String, reason: String)

  var description: String {
    switch self {
    case .interruptedIngest(let name, let done, let pending):
      "reading into the session \(name) was interrupted after \(done) of \(done + pending) tokens; go on with "
        + "'ra ingest --resume --session \(name)'"
    case .sessionExists(let name, 0):
      "the session \(name) exists already; choose another name, or replace it with --force"
    case .sessionExists(let name, let pending):
      "the session \(name) exists already, with \(pending) tokens still to be read; go on with --resume, or replace it "
        + "with --force"
    case .emptySession(let name):
      "the session \(name) was interrupted before anything was read; give --document again, or replace it with --force"
    case .nothingToAsk(let name):
      "the session \(name) has no text yet: 'ra ingest' reads documents into one, and 'ra chat' begins a conversation"
    case .otherDocuments(let name, let tokens):
      "the session \(name) was made of other documents than these of \(tokens) tokens, or without --raw; leave "
        + "--document out to go on with its own, or replace it with --force"
    case .modelGone(let path, let name):
      "the session \(name) was made with the model \(path), which cannot be read any more; give its new place with "
        + "--model"
    case .noModel(let name): "there is no session \(name) yet; give --model to start one"
    case .noDocuments:
      "there is nothing to ask about: name documents in front of the question, or give --session"
    case .noSuchDocument(let word):
      "there is no file or folder '\(word)'; a question of several words needs quotes around it"
    case .documentsOfSession(let name):
      "the session \(name) has its documents already: give the question alone, in quotes; 'ra ingest --add' adds documents"
    case .chatWithBoth(let name):
      "documents and a session together mean: 'ra ingest --session \(name)' with the documents, and then 'ra chat --session \(name)'"
    case .unknownSource(let name):
      "the session does not know where \(name) came from; read the documents anew with --force"
    case .noModelFound(let folders):
      "no model is named and none is in \(folders.joined(separator: " or ")): 'ra pull smollm2' fetches a small one, 'ra models' "
        + "lists others; or give --model FILE, or set RA_MODEL or 'model' in \(Configuration.path)"
    case .severalModels(let paths):
      "no model is named and there are several: \(paths.joined(separator: ", ")); give one with --model, or set RA_MODEL or "
        + "'model' in \(Configuration.path)"
    case .notPulled(let name): "the model \(name) is not here; 'ra pull \(name)' fetches it"
    case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
    case .noQuestion:
      "the question is empty: give it as an argument, with --question-file or on standard input"
    case .needsMemory(let error):
      "\(ErrorAdvice.message(for: error) ?? "\(error)"); --memory-limit keeps what does not fit on the disk"
    case .contextFull(let tokens, let limit, isOfMemory: false):
      "the conversation has \(tokens) tokens with this message, and the model's positions are for \(limit); start "
        + "another one, scale them with --rope-scaling, or go on with --allow-beyond-context"
    case .contextFull(let tokens, let limit, isOfMemory: true):
      "the conversation has \(tokens) tokens with this message, and there is room for \(limit); start another one"
    case .noTerminal(let sessions):
      "there is no terminal to ask whether to remove \(sessions.joined(separator: ", ")); give --yes to remove without "
        + "asking"
    case .nothingToSave: "nothing was said yet"
    case .systemTooLate(let name):
      "the session \(name) has begun already, so --system comes too late; give it to 'ra ingest', or to 'ra chat' with a new session"
    case .noChatTemplate:
      "the model has no chat template for --system and --chat-template-kwargs; give one with --chat-template"
    case .notSavedByHost: "a conversation with llama.cpp's own attention cannot be saved"
    }
  }
}

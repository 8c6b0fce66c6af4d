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
  case blankDocument(path: String)
  case noQuestion
  case needsMemory(AttentionError)
  case contextFull(tokens: Int, limit: Int, isOfMemory: Bool)
  case noTerminal(sessions: [String])
  case nothingToSave
  /// Options of a chat template that is not there.
  case noChatTemplate
  /// What the model is told before everything, when something was read already.
  case systemTooLate(name: String)
  case notSavedByHost

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
    case .blankDocument(let path): "\(path) has no text"
    case .noQuestion:
      "the question is empty: give it as an argument, with --question-file or on standard input"
    case .needsMemory(let error):
      "\(ErrorAdvice.message(for: error) ?? "\(error)"); --memory-limit keeps what does not fit on the disk"
    case .contextFull(let tokens, let limit, isOfMemory: false):
      "the conversation has \(tokens) tokens with this message, and the model was trained for \(limit); start "
        + "another one, or go on with --allow-beyond-context"
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

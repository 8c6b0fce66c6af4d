// Sessions whose documents become more, or have changed.

import Documents
import Foundation
import Generation
import LlamaHost

extension IngestCommand {
  /// Adds documents, or reads those again that have changed.
  func change(_ description: SessionDescription, _ console: Console) throws -> IngestReport {
    try description.requireComplete()
    let added =
      main.add
      ? try documentOptions.read(names, console, startingAt: end(of: description)) : PromptDocuments()
    let changed = main.update ? try currentDocuments(of: description, console) : PromptDocuments()
    let host = try modelOptions.host(console, for: description, chat: chatTemplate, system: system)
    states.apply(to: host)
    let session = try Session.open(
      description.directory, host: host, access: .write, memoryLimit: memory.memoryLimit?.bytes)
    var plan: Plan = (try session.conversation(host.model), [], [])
    if main.update {
      guard plan.conversation.place == .documents else { throw GenerationError.documentsAfterQuestion }
      plan.conversation = try Conversation(model: host.model, raw: plan.conversation.isRaw)
    }
    (plan.tokens, plan.documents) = try plan.conversation.read(main.update ? changed : added)
    if main.update {
      guard plan.tokens != session.tokens else {
        console.inform("nothing has changed")
        return IngestReport(description, tokensRead: 0)
      }
      try check(tokens: plan.tokens.count, host, console)
      let kept = try session.keepPrefix(of: plan.tokens)
      console.inform("reading \(plan.tokens.count - kept) of \(formatTokens(plan.tokens.count)) again")
      session.documents = plan.documents
      plan.tokens.removeFirst(kept)
      plan.documents = []
    } else {
      try check(tokens: session.tokenCount + plan.tokens.count, host, console)
      if description.documents.contains(where: { $0.contents == nil }) {
        // Where the others are is not known, so neither is where these are.
        for index in plan.documents.indices { plan.documents[index].contents = nil }
      }
      console.inform("reading \(added.title): \(formatTokens(plan.tokens.count))")
    }
    return try read(plan, into: session, console)
  }

  private func end(of description: SessionDescription) -> Int {
    description.documents.compactMap { $0.contents?.bytes.upperBound }.max() ?? 0
  }

  /// The documents of a session as they are now, under the names that they have there.
  private func currentDocuments(of description: SessionDescription, _ console: Console) throws
    -> PromptDocuments
  {
    var documents = PromptDocuments()
    for document in description.documents {
      guard let path = document.contents?.path else { throw CommandError.unknownSource(document.name) }
      for found in try documentOptions.found([path], console) {
        documents.append(name: document.name, path: path, text: found.text)
      }
    }
    return documents
  }
}

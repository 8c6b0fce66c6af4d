// Whoever attends needs the words in which a call is written.

@_exported public import AttentionModel

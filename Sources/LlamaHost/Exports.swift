// Guests need the words in which a layer's attention is handed to them.

@_exported public import AttentionModel

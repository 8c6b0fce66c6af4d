// Guests need the words in which a layer's attention is handed to them.

@_exported public import AttentionModel

#if !Llama
  #error("LlamaHost needs the package trait Llama: .package(url: ..., traits: [\"Llama\"])")
#endif

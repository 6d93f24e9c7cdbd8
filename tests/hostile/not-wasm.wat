;; The file is named like a plugin, but begins like a GIF image.
;; fails: load
;; kind: not-wasm

(module binary "GIF89a\01\00\01\00")

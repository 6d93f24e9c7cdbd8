;; The file holds no bytes at all.
;; fails: load
;; kind: not-wasm

(module binary)

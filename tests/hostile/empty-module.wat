;; The module is valid and empty, so it is not a plugin.
;; fails: load
;; kind: no-abi

(module)

;; It is a component, while plugins are core modules.
;; fails: load
;; kind: component

(component)

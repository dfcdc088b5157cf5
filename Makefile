# A thin wrapper: everything is `python -m tools <command>`, which makes .venv by itself.
PYTHON ?= python3
TOOLS = $(PYTHON) -m tools

help:
	@echo "make book                 build the site into _build/html"
	@echo "make test                 every check; PART=theory runs the notebooks of one part only"
	@echo "make execute              run stale notebooks, write outputs back; NOTEBOOK=path, PART=theory, FORCE=1"
	@echo "make mutate               plant known bugs, expect red; NOTEBOOK=game/minimax, MUTATION=name, BATTERY=1"
	@echo "make ledger               run what the ledger of claims lacks; NOTEBOOK=game/minimax, KIND=seeds"
	@echo "make upgrade-report       chapters with other versions; PINS='scipy==1.16.3' or the newest, NOTEBOOK=, PART="
	@echo "make pdf                  the whole book as one PDF, _build/gan-course.pdf (a few minutes)"
	@echo "make serve                show the built site on http://localhost:8000"
	@echo "make lab                  open the chapters in JupyterLab"
	@echo "make bench                speed of training against a hand-written loop"
	@echo "make setup                only make or update .venv (the others do it themselves)"
	@echo "make clean                remove what was built"

book pdf serve lab bench setup clean:
	@$(TOOLS) $@

test:
	@$(TOOLS) test $(if $(PART),--part $(PART)) $(if $(COV),--cov) $(ARGS)

execute:
	@$(TOOLS) execute $(NOTEBOOK) $(if $(PART),--part $(PART)) $(if $(FORCE),--force)

mutate:
	@$(TOOLS) mutate $(if $(NOTEBOOK),--notebook $(NOTEBOOK)) $(if $(MUTATION),--mutation $(MUTATION)) $(if $(PART),--part $(PART)) $(if $(BATTERY),--battery)

ledger:
	@$(TOOLS) ledger $(if $(NOTEBOOK),--notebook $(NOTEBOOK)) $(if $(PART),--part $(PART)) $(if $(KIND),--kind $(KIND))

upgrade-report:
	@$(TOOLS) upgrade-report $(PINS) $(if $(NOTEBOOK),--notebook $(NOTEBOOK)) $(if $(PART),--part $(PART))

.PHONY: help book test execute mutate ledger upgrade-report pdf serve lab bench setup clean

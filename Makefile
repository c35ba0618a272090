# The two commands: `make demo` and `make test`. Each does all its set-up itself.
.PHONY: demo test release setup format check clean

ORDERS ?= 300
CONFIGURATION ?= debug
BIN = .build/$(CONFIGURATION)

# Starts the shop, drives orders through it, shows what happened, stays up until Ctrl-C.
# ONCE=1 ends after the summary, RESET=1 clears the data folder first, KILLS=5 kills nodes at random moments.
demo: setup
	@scripts/build --product shop
	@scripts/build --product shop-demo
	@$(BIN)/shop-demo --orders $(ORDERS) $(if $(ONCE),--once) $(if $(RESET),--reset) $(if $(KILLS),--kills $(KILLS))

# Builds everything once and runs every test, one at a time: each has the machine, and the ports it has let go, to itself.
test:
	@scripts/setup tests
	@scripts/check
	@scripts/build --build-tests
	@swift test --skip-build --no-parallel --skip IntegrationTests
	@swift test --skip-build --filter IntegrationTests

# The program as it is deployed: .build/release/dovetail.
release: setup
	@scripts/build -c release --product dovetail

setup:
	@scripts/setup

format:
	@swift format format -i --recursive Package.swift Sources Tests Examples Benchmarks

check: setup
	@scripts/check

clean:
	@rm -rf .build data

# What people read. These rules have no wildcards, so `snakemake tables` works.


rule tables:
    input:
        get_results(),
    output:
        report(
            get_tables("csv"),
            caption="../report/tables.rst",
            category="Tables",
        ),
        get_tables("md"),
    log:
        f"logs/{RUN}/tables.log",
    benchmark:
        f"logs/{RUN}/tables.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("reporting.tables"),
        results=get_results_folder,
        run=RUN,
        intervals=get_interval_options(),
        tables=get_output_folder,
    shell:
        """
        mcalc tables {params.results:q} \
            --run-name {params.run} \
            --tables {params.tables:q} \
            {params.intervals} \
            >{log:q} 2>&1
        """


rule figures:
    input:
        get_results(),
        f"results/{RUN}/images/mammograms",
        f"results/{RUN}/filters/speck",
        expand(
            "results/{run}/images/{stage}/{shard}",
            run=RUN,
            stage=["cleaned", "enhanced"],
            shard=SHARDS,
        ),
    output:
        report(
            get_figures("png"),
            caption="../report/figures.rst",
            category="Figures",
        ),
        get_figures("svg"),
    log:
        f"logs/{RUN}/figures.log",
    benchmark:
        f"logs/{RUN}/figures.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code_hash("reporting.figures"),
        results=get_results_folder,
        run=RUN,
        confidence=config["evaluate"]["confidence"],
        figures=get_output_folder,
    shell:
        """
        mcalc figures {params.results:q} \
            --run-name {params.run} \
            --figures {params.figures:q} \
            --confidence {params.confidence} \
            >{log:q} 2>&1
        """


rule compare_paper:
    input:
        get_results(),
    output:
        report(
            f"results/{RUN}/paper.csv",
            caption="../report/tables.rst",
            category="Tables",
        ),
    log:
        f"logs/{RUN}/compare_paper.log",
    benchmark:
        f"logs/{RUN}/compare_paper.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("reporting.compare_paper"),
        results=get_results_folder,
        run=RUN,
        intervals=get_interval_options(),
    shell:
        """
        mcalc compare-paper {params.results:q} \
            --run-name {params.run} \
            --comparison {output:q} \
            {params.intervals} \
            >{log:q} 2>&1
        """


rule report:
    input:
        get_results(),
        f"results/{RUN}/paper.csv",
        get_tables("md"),
        get_figures("png"),
        leakage=get_finished("leakage"),
        league=get_finished("league"),
    output:
        report(
            f"results/{RUN}/report.html",
            caption="../report/report.rst",
            category="Report",
        ),
    log:
        f"logs/{RUN}/report.log",
    benchmark:
        f"logs/{RUN}/report.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("reporting.report"),
        results=get_results_folder,
        run=RUN,
        extras=get_extra_options,
        intervals=get_interval_options(),
    shell:
        """
        mcalc report {params.results:q} \
            --run-name {params.run} \
            --report {output:q} \
            {params.extras} \
            {params.intervals} \
            >{log:q} 2>&1
        """


rule show_leakage:
    input:
        answers=get_leakage_answers(),
        catalog=f"results/{RUN}/catalog.csv",
    output:
        table=report(
            f"results/{RUN}/tables/leakage.csv",
            caption="../report/leakage.rst",
            category="Leakage",
        ),
        markdown=f"results/{RUN}/tables/leakage.md",
        figure=report(
            f"results/{RUN}/figures/leakage.png",
            caption="../report/leakage.rst",
            category="Leakage",
        ),
        drawing=f"results/{RUN}/figures/leakage.svg",
    log:
        f"logs/{RUN}/show_leakage.log",
    benchmark:
        f"logs/{RUN}/show_leakage.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("reporting.show_leakage"),
        run=RUN,
        figures=get_figure_folder,
        intervals=get_interval_options(),
    shell:
        """
        mcalc show-leakage {input.answers:q} \
            --catalog {input.catalog:q} \
            --run-name {params.run} \
            --leakage {output.table:q} \
            --figures {params.figures:q} \
            {params.intervals} \
            >{log:q} 2>&1
        """


rule show_league:
    input:
        scores=get_league_scores(),
        catalog=f"results/{RUN}/catalog.csv",
    output:
        table=report(
            f"results/{RUN}/tables/league.csv",
            caption="../report/league.rst",
            category="League",
        ),
        markdown=f"results/{RUN}/tables/league.md",
        figure=report(
            f"results/{RUN}/figures/league.png",
            caption="../report/league.rst",
            category="League",
        ),
        drawing=f"results/{RUN}/figures/league.svg",
    log:
        f"logs/{RUN}/show_league.log",
    benchmark:
        f"logs/{RUN}/show_league.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("reporting.show_league"),
        run=RUN,
        figures=get_figure_folder,
    shell:
        """
        mcalc show-league {input.scores:q} \
            --catalog {input.catalog:q} \
            --run-name {params.run} \
            --league {output.table:q} \
            --figures {params.figures:q} \
            >{log:q} 2>&1
        """
